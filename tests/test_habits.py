# SPDX-License-Identifier: Apache-2.0
"""What runs before a commit and on hosted machines is what the tests run."""

import shutil
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


def test_hooks_before_a_commit_are_tools_of_this_environment():
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = local["hooks"]
    assert {"ruff", "mypy", "clang-format", "mvn", "pytest"} == {hook["entry"].split()[0] for hook in hooks}
    for hook in hooks:
        program, *arguments = hook["entry"].split()
        assert hook["language"] == "system"
        assert program == "mvn" or shutil.which(program, path=str(Path(sys.executable).parent)), program
        assert all((ROOT / argument).exists() for argument in arguments if "/" in argument)


def test_the_workflow_runs_the_readme_s_test_command():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert len(commands) == 1 and commands[0].endswith(".ci/run")
    script = (ROOT / ".ci/run").read_text()
    assert "<!-- test command -->" in script and "README.md" in script
