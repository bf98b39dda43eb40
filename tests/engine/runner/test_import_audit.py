"""An arm that runs the other arm's code is found out, by name."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import PurePosixPath

import pytest

from pytest_perfguard.core.errors import WrongCode
from pytest_perfguard.engine.runner.import_audit import ImportAudit, project_roots
from pytest_perfguard.engine.runner.path_map import PathMap
from pytest_perfguard.engine.runner.test_overlay import TestFiles

SITE = "/venv/lib/python3.11/site-packages"
COMPILED = EXTENSION_SUFFIXES[0]


class Setting:
    """A repository with a package in src, and modules by where they lie."""

    def __init__(self, repository, tmp_path):
        files = {"src/pkg/__init__.py": "", "src/pkg/core.py": "x = 1", "setup.py": "", "tests/test_a.py": ""}
        repository.commit(files | {"lib/other/__init__.py": "", "lib/other/core.py": "y = 1", "lib/loose.py": ""})
        self.places = PathMap(repository.path, repository.path / ".git" / "perfguard" / "x")
        self.site = tmp_path / "site-packages"
        self.target = tmp_path / "target"

    def audit(self, **kind):
        tests = TestFiles.from_perf_tests([PurePosixPath("tests/test_a.py")])
        return ImportAudit(self.places, [self.places.head / "src"], is_test=tests.contains, **kind)

    def head(self, name="pkg.core", path="src/pkg/core.py"):
        return {name: str(self.places.head / path), "json": "/usr/lib/python3.11/json/__init__.py"}

    def base(self, name="pkg.core", path="src/pkg/core.py"):
        return {name: str(self.places.base / path), "json": "/usr/lib/python3.11/json/__init__.py"}

    def installed(self, text, name="pkg.core"):
        file = self.site / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return {name: str(file)}


@pytest.fixture
def setting(repository, tmp_path):
    return Setting(repository, tmp_path)


def test_each_arm_in_its_own_tree_is_fine(setting):
    audit = setting.audit()
    audit.check(setting.base(), setting.head())
    assert audit.base_is_used


@pytest.mark.parametrize("kind", [{}, {"own_environment": True}])
def test_a_base_that_imported_this_tree_is_refused_however_it_was_made(setting, kind):
    with pytest.raises(WrongCode, match=r"the base imported pkg.core from .*core.py: that is this tree's.*perf_base_"):
        setting.audit(**kind).check(setting.head(), setting.head())


def test_a_base_that_imported_the_installed_copy_is_refused(setting):
    installed = setting.installed("x = 1")
    with pytest.raises(WrongCode, match=r"the base imported pkg.core .*the installed copy"):
        setting.audit().check(installed, setting.head())
    setting.audit(own_environment=True).check(installed, setting.head())


def test_both_running_one_installed_copy_is_refused_wherever_the_package_lies(setting):
    """`other` is imported from no root of the tree, as in a repository of many projects."""
    installed = setting.installed("y = 1", "other.core")
    with pytest.raises(WrongCode, match=r"the base imported other.core .*the installed copy"):
        setting.audit().check(installed, installed)


def test_a_base_in_its_target_is_fine(setting):
    audit = setting.audit(target=setting.target)
    audit.check({"pkg.core": str(setting.target / "pkg/core.py")}, setting.head())
    assert audit.base_is_used


def test_a_head_that_imported_the_revision_is_refused(setting):
    with pytest.raises(WrongCode, match=r"the head imported pkg.core .*pip install"):
        setting.audit().check(setting.base(), setting.base())


def test_an_installed_head_must_be_this_tree(setting):
    setting.audit().check(setting.base(), setting.installed("x = 1"))
    with pytest.raises(WrongCode, match=r"the head imported pkg.core .*that is not what this tree has"):
        setting.audit().check(setting.base(), setting.installed("x = 2"))


def test_a_head_from_another_checkout_is_refused(setting, tmp_path):
    """An editable install of the main checkout, tests run in a second one."""
    elsewhere = tmp_path / "main" / "src" / "pkg" / "core.py"
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_text("x = 3")
    with pytest.raises(WrongCode, match="that is not what this tree has"):
        setting.audit().check(setting.base(), {"pkg.core": str(elsewhere)})


def test_a_stranger_of_the_same_name_is_a_stranger(setting):
    """Nothing says that `loose` or `other` of this tree are meant."""
    stranger = setting.installed("z = 1", "other.core") | setting.installed("z = 2", "loose")
    audit = setting.audit()
    audit.check(stranger, stranger)
    assert not audit.base_is_used


def test_a_compiled_module_must_be_built_for_the_base_as_well(setting):
    fast = setting.head("pkg.fast", f"src/pkg/fast{COMPILED}")
    with pytest.raises(WrongCode, match=r"pkg.fast .*compiled.*perf_base_command"):
        setting.audit().check(setting.base(), fast)
    setting.audit().check(setting.base("pkg.fast", f"src/pkg/fast{COMPILED}"), fast)
    setting.audit(target=setting.target).check({}, fast)


def test_a_compiled_module_is_no_match_for_an_interpreted_one(setting):
    compiled = setting.head("pkg.core", f"src/pkg/core{COMPILED}")
    with pytest.raises(WrongCode, match=r"pkg.core .*compiled"):
        setting.audit().check(setting.base(), compiled)


def test_an_installed_compiled_module_belongs_to_its_package(setting):
    with pytest.raises(WrongCode, match=r"pkg.fast .*compiled"):
        setting.audit().check(setting.base(), {"pkg.fast": f"{SITE}/pkg/fast{COMPILED}"})
    setting.audit().check({}, {"numpy.core._x": f"{SITE}/numpy/core/_x{COMPILED}"})


def test_what_is_imported_later_is_looked_at_with_what_was_before(setting):
    audit = setting.audit()
    audit.check(setting.installed("x = 1"), {})
    with pytest.raises(WrongCode, match="installed copy"):
        audit.check({}, setting.head())
    audit.start_pair()
    audit.check({}, setting.head())


def test_copied_tests_are_no_code_of_the_base(setting):
    audit = setting.audit()
    audit.check(setting.base("test_a", "tests/test_a.py"), setting.head("test_a", "tests/test_a.py"))
    assert not audit.base_is_used


def test_a_project_in_a_subfolder_has_its_own_root(repository):
    repository.commit({"packages/a/src/a.py": "", "packages/a/pyproject": ""})
    top = repository.path
    assert project_roots(top, top / "packages/a") == [top / "packages/a/src", top]
    assert project_roots(top, top) == [top]


@pytest.fixture
def scripts(repository, tmp_path):
    """A tree with scripts at its top that are called like modules of Python and of other projects; and what is installed."""
    site = tmp_path / "site-packages"

    class Scripts:
        def __init__(self):
            self.places = PathMap(repository.path, repository.path / ".git" / "perfguard" / "x")

        def audit(self, **files):
            names = ("platform.py", "math.py", "yaml.py", "numpy.py", "mine/__init__.py")
            repository.commit(dict.fromkeys(names, "print('a script')") | {"tests/test_a.py": ""} | files)
            return ImportAudit(self.places, [self.places.head], is_test=lambda _file: False)

        def installed(self, distribution, *files, url=""):
            """The modules of a distribution in an environment, by name."""
            info = site / f"{distribution}-1.0.dist-info"
            info.mkdir(parents=True)
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
            (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
            if url:
                (info / "direct_url.json").write_text(f'{{"url": "{url}", "dir_info": {{}}}}')
            for file in files:
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                (site / file).write_text("x = 1")
            modules = [file.partition(".")[0].removesuffix("/__init__").replace("/", ".") for file in files]
            return {name: str(site / file) for name, file in zip(modules, files, strict=True)}

    return Scripts()


def test_a_script_named_like_a_module_of_python(scripts):
    """`platform.py` at the top of a tree that comes last in the import path; and one called like a compiled module."""
    import platform

    library = PurePosixPath(platform.__file__).parent
    modules = {"platform": platform.__file__, "math": f"{library}/lib-dynload/math{COMPILED}"}
    scripts.audit().check(modules, modules)


@pytest.mark.parametrize(
    "packaging",
    [
        {},
        {"pyproject.toml": '[project]\nname = "mine"\n'},
        {"setup.py": "setup(name='mine')"},
        {"setup.cfg": "[metadata]\nname = mine\n"},
        {"setup.py": "setup(**computed())"},
        {"packages/a/pyproject.toml": '[project]\nname = "other"\n'},
    ],
)
def test_a_script_named_like_an_installed_module(scripts, packaging):
    """The installed one is another project's, whatever this project is called."""
    modules = scripts.installed("PyYAML", "yaml/__init__.py") | scripts.installed("numpy", f"numpy/_core{COMPILED}")
    scripts.audit(**packaging).check(modules, modules)


@pytest.mark.parametrize(
    ("distribution", "packaging"),
    [
        ("My_Dist", {"pyproject.toml": '[project]\nname = "my.dist"\n'}),
        ("my-dist", {"deep/setup.cfg": "[metadata]\nname = my_dist\n"}),
        ("mine", {"setup.py": "setup(**computed())"}),
    ],
)
def test_an_old_copy_of_this_project_is_refused_still(scripts, distribution, packaging):
    """By the name under which the tree is installed."""
    modules = scripts.installed(distribution, "mine/__init__.py")
    with pytest.raises(WrongCode, match=r"the head imported mine .*that is not what this tree has"):
        scripts.audit(**packaging).check(modules, modules)


def test_a_copy_that_was_installed_from_this_tree_is_this_project(scripts):
    """pip notes the folder."""
    modules = scripts.installed("renamed", "mine/__init__.py", url=f"file://{scripts.places.head}")
    with pytest.raises(WrongCode, match="that is not what this tree has"):
        scripts.audit().check(modules, modules)


def test_a_script_that_takes_the_place_of_an_installed_module_in_the_base_is_refused(scripts):
    """The arms would run different code under one name."""
    modules = scripts.installed("PyYAML", "yaml/__init__.py")
    with pytest.raises(WrongCode, match=r"the base imported yaml .*the head has .*site-packages.*rename that file"):
        scripts.audit().check({"yaml": str(scripts.places.base / "yaml.py")}, modules)
