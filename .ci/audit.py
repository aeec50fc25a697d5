"""Ask pip-audit about the locked packages, and say plainly where it could not reach its data: `make audit`."""

import json
import subprocess
import sys


def main(auditor: str, lock: str) -> int:
    """0: nothing known; 1: vulnerabilities, listed; 2: it could not tell."""
    command = [auditor, "-r", lock, "--require-hashes", "--disable-pip", "--progress-spinner", "off", "-f", "json"]
    ran = subprocess.run(command, capture_output=True, text=True)
    try:
        packages = json.loads(ran.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(f"Nothing was checked: pip-audit could not reach its data.\n{ran.stderr.strip()[-500:]}")
        return 2
    known = [package for package in packages if "skip_reason" not in package]
    bad = [package for package in known if package["vulns"]]
    for package in bad:
        for found in package["vulns"]:
            fixed = ", ".join(found.get("fix_versions") or ["no version yet"])
            print(f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}")
    print(f"{len(known)} of {len(packages)} packages were checked, {len(bad)} have known vulnerabilities.")
    if len(known) < len(packages) / 2:
        print("That is no result: the index that is reached here has no data on most of them.")
        return 2
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
