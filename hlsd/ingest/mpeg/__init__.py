"""Takes transport streams (ISO/IEC 13818-1) apart, and what is in their PES packets. All of it is pure."""
