"""One conversion with all around it: stop, convert, start again.

`facts` is what is read, `rules` what is decided from it, `act` the only place that stops, starts, tags and creates.
What others may use is named here.
"""

from lmconv_resource.lifecycle.job.act import Job, still_stopped_text
from lmconv_resource.lifecycle.job.checks import CHECKS, Problem, Wish
from lmconv_resource.lifecycle.job.facts import Act
from lmconv_resource.lifecycle.job.rules import RULES, WORDS, Step

__all__ = ["CHECKS", "RULES", "WORDS", "Act", "Job", "Problem", "Step", "Wish", "still_stopped_text"]
