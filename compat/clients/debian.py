"""Debian's packages and their sources, without being root and without the machine's own package lists."""

import hashlib

from clients.suite import SuiteFailed

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def packages(home, names):
    """The files of packages below `root`; nothing is installed."""
    home.command(*_apt(home, "apt"), "download", *names)
    root = home.folder / "root"
    for archive in sorted(home.folder.glob("*.deb")):
        home.command("dpkg", "-x", archive, root)
    return root


def upstream_source(home, package, sha256, release=""):
    """Upstream's archive of a source package, unpacked; of this machine's release of Debian, or of another.

    Debian keeps one revision of a package, so the revision cannot be pinned; upstream's archive is, by its hash.
    """
    sources = home.folder / "sources.list"
    sources.write_text(f"deb-src [signed-by={KEYRING}] {_repository(home, release)} main\n", encoding="utf-8")
    apt = _apt(home, "apt-sources", **{"Etc::SourceList": sources, "Etc::SourceParts": "/dev/null"})
    home.command(*apt, "source", "--download-only", "--tar-only", package)
    archive = next(home.folder.glob(f"{package}_*.orig.tar.*"))
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != sha256:
        raise SuiteFailed(f"{archive.name} is not the archive that is expected: its sha256 is {found}")
    return home.unpack(archive)


def _apt(home, name, **more):
    """apt-get with lists of its own in the folder `name`, which are fetched the first time."""
    state = home.folder / name
    places = {"State": state, "State::Lists": state / "lists", "State::status": state / "status",
              "Cache": state / "cache", **more}
    apt = ["apt-get", "-q", *(word for name, place in places.items() for word in ("-o", f"Dir::{name}={place}"))]
    if not state.exists():
        state.mkdir()
        (state / "status").touch()
        home.command(*apt, "update")
    return apt


def _repository(home, release):
    """Address of the Debian mirror that this machine uses, and a release on it, by default this machine's."""
    listed = home.command(*_apt(home, "apt"), "indextargets", "--format", "$(REPO_URI) $(RELEASE)",
                          "Created-By: Packages", "Origin: Debian", "Component: main")
    # Beside the release itself stand its -updates and -security.
    main = [line for line in listed.splitlines() if line and "-" not in line.split()[-1]]
    if not main:
        raise SuiteFailed(f"{home.name} comes from Debian, and apt knows no Debian release here")
    return f"{main[0].split()[0]} {release}" if release else main[0]
