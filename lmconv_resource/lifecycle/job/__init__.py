"""One conversion with all around it: stop, convert, start again.

`facts` is what is read, `rules` what is decided from it, `act` the only place that stops, starts, tags and creates.
What others may use is named here.
"""

from lmconv_resource.lifecycle.job.act import Job, Outcome, still_stopped_text
from lmconv_resource.lifecycle.job.checks import CHECKS, Problem, Wish
from lmconv_resource.lifecycle.job.rules import RULES, WORDS, Act, Step
from lmconv_resource.marks import RESTART_TAG, TAGS, make_value, read_marks, to_places

__all__ = [
    "CHECKS",
    "RESTART_TAG",
    "RULES",
    "TAGS",
    "WORDS",
    "Act",
    "Job",
    "Outcome",
    "Problem",
    "Step",
    "Wish",
    "make_value",
    "read_marks",
    "still_stopped_text",
    "to_places",
]
