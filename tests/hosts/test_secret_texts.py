"""What no message may show: secret texts, and what says them in other words."""

import pytest

from lmconv_resource.hosts.session import SecretTexts
from lmconv_resource.models import LicenseContext, ProductCode
from lmconv_resource.usage_operations import (
    ELIGIBLE_PAIRS,
    RHEL_FOR_SAP_FROM_RED_HAT,
    UsageOperation,
    code_problem,
    describe,
    describe_license,
    unknown_code_warning,
    unlisted_reason,
)


def test_short_secrets_hide_nothing_else() -> None:
    """A secret of three letters would make words unreadable."""
    secrets = SecretTexts()
    secrets.add({"the", "hunter2", "hunter22"})
    assert secrets.mask("the hunter22 and hunter2") == "the [secret] and [secret]"


@pytest.mark.parametrize("operation", UsageOperation)
def test_a_secret_license_is_told_by_no_sentence_about_it(operation: UsageOperation) -> None:
    """Neither by its code nor by its name, nor by what AWS converts it to."""
    secrets = SecretTexts()
    secrets.add([operation.value])
    own = LicenseContext(operation.value)
    sentences = [describe(operation), describe_license(own)]
    sentences += [unlisted_reason(own, LicenseContext(other)) or "" for other in UsageOperation]
    sentences += [unlisted_reason(LicenseContext(other), own) or "" for other in UsageOperation]
    text = secrets.mask(" ".join(sentences))
    told = {each.value for each in UsageOperation} | {each.meaning for each in UsageOperation} | {"SQL Server", "BYOL"}
    assert [each for each in told if each in text] == []


@pytest.mark.parametrize("text", ["runinstances:0800", "RunInstances:080x", "0800"])
def test_a_secret_that_is_nearly_a_license_is_not_told_by_what_it_may_mean(text: str) -> None:
    """What is wrong with it names the one that is meant."""
    secrets = SecretTexts()
    secrets.add([text])
    masked = secrets.mask(f"{code_problem(text)} {unknown_code_warning(text)}")
    assert "0800" not in masked
    assert "Windows" not in masked


def test_a_secret_product_code_is_not_told_by_the_reason_against_it() -> None:
    """AWS converts no RHEL for SAP back, and the sentence about it names that."""
    secrets = SecretTexts()
    secrets.add([RHEL_FOR_SAP_FROM_RED_HAT])
    pair = next(each for each in ELIGIBLE_PAIRS if RHEL_FOR_SAP_FROM_RED_HAT in each.destination_codes)
    source = LicenseContext(pair.destination, (ProductCode(RHEL_FOR_SAP_FROM_RED_HAT, "marketplace"),))
    reason = unlisted_reason(source, LicenseContext(pair.source))
    assert reason
    assert "SAP" in reason
    assert "SAP" not in secrets.mask(reason)
