#!/usr/bin/env bash
# Looks up the packages of requirements.lock in the PyPI advisory database. Exit code 1 on a known
# vulnerability, else 0. If the database cannot be reached, it says so in one line and exits with 0.
set -euo pipefail
cd "$(dirname "$0")/.."
audit=.venv/bin/pip-audit
if [ ! -x "$audit" ]; then
  echo "audit: there is no $audit; run \`make setup\`; nothing was audited"
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# pip-audit exits with 1 on findings and on errors; only the report tells them apart.
"$audit" --requirement requirements.lock --no-deps --disable-pip --progress-spinner off \
  --timeout 15 --format json --output "$work/report.json" 2>"$work/errors" || true
if [ ! -s "$work/report.json" ]; then
  reason=$(tail -n 1 "$work/errors" | cut -c 1-200)
  echo "audit: the advisory database cannot be reached (${reason:-no reason given}); nothing was audited"
  exit 0
fi
.venv/bin/python - "$work/report.json" <<'PYTHON'
import json
import sys

with open(sys.argv[1]) as report:
    dependencies = json.load(report)["dependencies"]
skipped = [item["name"] for item in dependencies if "skip_reason" in item]
if len(skipped) == len(dependencies):
    # A mirror without advisories gives this; pip-audit itself calls it "no vulnerabilities found".
    print(f"audit: the index here has no advisories for any of {len(skipped)} packages; "
          "nothing was audited")
    sys.exit(0)
found = [(item, known) for item in dependencies for known in item.get("vulns", ())]
for item, known in found:
    fixed = ", ".join(known["fix_versions"]) or "no version yet"
    print(f"audit: {item['name']} {item['version']}: {known['id']}, fixed in {fixed}")
unknown = f"; not in the database: {', '.join(skipped)}" if skipped else ""
print(f"audit: {len(dependencies) - len(skipped)} packages looked up, "
      f"{len(found)} known vulnerabilities{unknown}")
sys.exit(1 if found else 0)
PYTHON
