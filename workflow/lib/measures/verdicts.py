"""Whether a claim holds: one rule for all of them.

Each claim is a number with a p-value, two-sided, of its being 0; these are corrected for the number
of claims by Holm's (1979) procedure. A claim holds where the corrected p is below 0.05, the number
has the claim's sign, and it has that with every base; it is contradicted where all is so but for
the sign. Else it stays unclear.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workflow.lib.measures.statistics import holm

YES, NO, UNCLEAR = "yes", "no", "unclear"
SIGNIFICANCE = 0.05  # of the corrected test


@dataclass(frozen=True)
class Finding:
    """What a study has to say on a claim.

    Attributes
    ----------
    claim : str
        A sentence.
    section : str
        Where the study shows it: its figure.
    value : float
        Above 0 where the claim is right; NaN if unknown.
    p : float
        Two-sided, of its being 0.
    evidence : str
        Numbers and intervals.
    agree : bool
        Whether its sign is the same with every base.
    whole : bool
        Whether what the claim says beside that is so too.
    """

    claim: str
    section: str
    value: float
    p: float
    evidence: str
    agree: bool = True
    whole: bool = True


@dataclass(frozen=True)
class Claim:
    """What the paper says, and what a study finds.

    Attributes
    ----------
    claim, section : str
    holds : {'yes', 'no', 'unclear'}
    evidence : str
    p, p_holm : float
        Before and after the correction for the number of claims.
    """

    claim: str
    section: str
    holds: str
    evidence: str
    p: float
    p_holm: float


def judge(findings: Sequence[Finding]) -> list[Claim]:
    """Say of each claim whether it holds, corrected for their number."""
    corrected = holm(np.array([each.p for each in findings], np.float64))
    return [
        Claim(each.claim, each.section, _verdict(each, p), each.evidence, each.p, float(p))
        for each, p in zip(findings, corrected, strict=True)
    ]


def _verdict(finding: Finding, p: float) -> str:
    if not p < SIGNIFICANCE or not finding.agree or not finding.value:
        return UNCLEAR
    if finding.value < 0:
        return NO
    return YES if finding.whole else UNCLEAR
