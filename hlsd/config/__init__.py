"""The configuration: `load` gives the settings that hold, or says everything that is wrong with them."""

from hlsd.config.given import Configuration
from hlsd.config.reading import INSTALLED_FILE, OTHER_VARIABLES, PREFIX, default_path, load, read
from hlsd.config.settings import LimitsSettings, ServerSettings, Settings, sections
from hlsd.config.writing import Shown, listing, template

__all__ = [
    "INSTALLED_FILE",
    "OTHER_VARIABLES",
    "PREFIX",
    "Configuration",
    "LimitsSettings",
    "ServerSettings",
    "Settings",
    "Shown",
    "default_path",
    "listing",
    "load",
    "read",
    "sections",
    "template",
]
