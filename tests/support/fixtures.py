"""What every test begins with: made-up AWS credentials, no settings of the machine's user, and no way to AWS."""

import functools
import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import botocore.hooks
import botocore.loaders
import botocore.session
import hypothesis
import moto.core.config
import moto.core.models
import moto.core.responses
import moto.core.utils
import moto.utilities.utils
import pytest

# moto reads this when it is imported: without it each EC2 of a test makes 1,300 images with volumes and snapshots.
os.environ["MOTO_AMIS_PATH"] = str(Path(__file__).parent / "images.json")

from local_engine.plugin import DynamicPlugin

from lmconv_resource.aws.access import botocore_session
from lmconv_resource.emulator import LicenseManagerBackend, licensemanager_backends, serve
from support.aws_accounts import HOME, STACK, AwsAccounts, serve_accounts
from support.forked import fork_process
from support.job import Job, serve_job
from support.wire import ACCESS_KEY, SECRET_KEY, Wire

# A slow machine is no failure, what one run found does not change the next, and a failure is shown as it was found:
# looking for a smaller one can outlast the test's timeout, which would then be all that is seen.
AS_FOUND = hypothesis.settings(
    deadline=None, database=None, phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate]
)
hypothesis.settings.register_profile("few", AS_FOUND, max_examples=10)
hypothesis.settings.register_profile("many", AS_FOUND, max_examples=100)

# Each test has sessions of its own, and reading AWS's models for each takes longer than most tests do.
create_loader = functools.cache(botocore.loaders.create_loader)
for module in (botocore.loaders, botocore.session, botocore_session):
    vars(module)["create_loader"] = create_loader
# Earlier names of services that nobody calls here: each session looks for each of them in two hundred names of events.
botocore.hooks.EVENT_ALIASES.clear()

# Nobody calls AWS by `requests`, for which each mock would lay out 1,300 addresses; and one session of boto3's will do.
moto.core.models.RESPONSES_METHODS.clear()
moto.core.config.default_user_config["core"]["reset_boto3_session"] = False
# It asks for each answer anew which methods its own classes have.
vars(moto.core.responses)["method_names_from_class"] = functools.cache(moto.core.utils.method_names_from_class)
# A hundred files say which types of instances are offered where, which EC2 reads when it is imported.
load_resource = moto.utilities.utils.load_resource
vars(moto.utilities.utils)["load_resource"] = lambda path: [] if "offerings" in path else load_resource(path)

DynamicPlugin.start_process = staticmethod(fork_process)

# A shell starts what runs in the background (`make test &`, cron) with SIGINT ignored, which all processes that tests
# start would inherit: they send it to show what ^C does.
signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ["AWS_EC2_METADATA_DISABLED"] = "true"  # fixtures of a wider scope run before the one below
gc.set_threshold(1_000_000)  # until all tests are imported: none of that can be freed


def pytest_configure(config: pytest.Config) -> None:
    """Let a run without the long proofs try few examples of each property."""
    hypothesis.settings.load_profile("few" if "not proof" in config.option.markexpr else "many")


@pytest.fixture(autouse=True)
def _aws_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.upper().startswith(("AWS_", "PULUMI_")) or name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[LicenseManagerBackend]:
    """A License Manager on loopback, seen in eu-west-1, and an environment that leads to it.

    Nobody answers for other services: that is known at once, and without a name being looked up.
    """
    for service in ("EC2", "SSM", "STS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", "http://127.0.0.1:9")
    with serve() as emulator:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LICENSE_MANAGER", emulator.endpoint)
        yield licensemanager_backends["123456789012"]["eu-west-1"]


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    """AWS on loopback for whole conversions, and an environment that leads there."""
    with serve_job(monkeypatch) as served:
        yield served


@pytest.fixture
def accounts() -> Iterator[AwsAccounts]:
    """Accounts on loopback, with the environment's keys and those of a stack's settings."""
    with serve_accounts() as accounts:
        accounts.add_user(HOME, ACCESS_KEY)
        accounts.add_user(STACK, "AKIASTACK")
        yield accounts


@pytest.fixture(autouse=True)
def _cut_wires() -> Iterator[None]:
    yield
    for wire in Wire.laid:
        wire.cut()
    Wire.laid.clear()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Spare the garbage collector what is imported, a million objects which stay: they would take a sixth of the time.

    It looks less often than by default, and as often as what is new is still in the processor's cache.
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
