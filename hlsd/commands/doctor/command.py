"""The command `hlsd doctor`."""

from __future__ import annotations

import typer

from hlsd.commands.options import ConfigFile, configuration


def register(application: typer.Typer) -> None:
    """Adds the command."""
    application.command()(doctor)


def doctor(config_file: ConfigFile = None) -> None:
    """Look at this machine: ports, files, clock, disk, certificates, services; exit 1 if something is in the way.

    Run it as the user that runs hlsd. It listens for a moment where hlsd will, connects to the services of the
    configuration, and sends nothing.
    """
    from hlsd.commands.doctor.examination import findings  # noqa: PLC0415 - what it looks with is this command's alone

    worst = 0
    for finding in findings(configuration(config_file, {}).settings):
        typer.echo(str(finding))
        worst = max(worst, finding.grade == "bad")
    raise typer.Exit(worst)
