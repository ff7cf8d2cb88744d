"""What `pip install -e` makes of a package, without pip."""

import tomllib


def declare(site, name, entry_points, version="0.1.0", summary=""):
    """The metadata of a distribution in a folder of the import path."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = [line for group, names in entry_points.items() for line in (f"[{group}]", *names)]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\nSummary: {summary}\n\nSummary: of another\n"
    )
    return info


def editable(package, site):
    """A distribution whose modules stay where they are; returns the name of its package."""
    settings = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))
    project = settings["project"]
    points = {group: [f"{k} = {v}" for k, v in found.items()] for group, found in project["entry-points"].items()}
    (name,) = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    declare(site, project["name"], points, project["version"], project["description"])
    (site / name).symlink_to((package / name).absolute())
    return name
