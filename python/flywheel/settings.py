"""Where things are: the project, the home folder, the warehouse file."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Paths of one flywheel.

    Attributes:
        project: the dbt project's folder.
        home: raw logs, model files, reports, Data Docs and state (`FLYWHEEL_HOME`).
        database: the DuckDB warehouse file (`FLYWHEEL_DB`).
    """

    project: Path
    home: Path
    database: Path

    @property
    def models(self) -> Path:
        """Folder of the registered models' files."""
        return self.home / "models"

    @property
    def deployment_manifest(self) -> Path:
        """The file the serving side reads."""
        return self.home / "deployment.json"

    @property
    def reports(self) -> Path:
        """Folder of the HTML reports."""
        return self.home / "reports"

    def environment(self) -> dict[str, str]:
        """Environment variables that make dbt see the same paths."""
        return {
            "FLYWHEEL_HOME": str(self.home),
            "FLYWHEEL_DB": str(self.database),
            "DBT_PROFILES_DIR": str(self.project),
            "DO_NOT_TRACK": "1",
        }


def load_settings() -> Settings:
    """Read `FLYWHEEL_PROJECT`, `FLYWHEEL_HOME` and `FLYWHEEL_DB`, with their defaults."""
    project = Path(os.environ.get("FLYWHEEL_PROJECT", Path(__file__).parents[2])).resolve()
    home = Path(os.environ.get("FLYWHEEL_HOME", project / ".flywheel")).expanduser().resolve()
    database = Path(os.environ.get("FLYWHEEL_DB", home / "warehouse.duckdb")).expanduser().resolve()
    return Settings(project=project, home=home, database=database)
