"""Many conversions as one resource: a table of instances, in order, so many at a time.

`table` is what a program asks for, `survey` what is to be done with each row, `schedule` which row is begun when, `run`
one operation, `row` what becomes of one, `report` what is said of it. A `crew` carries out the rows that one connection
serves: what they read is asked for together by `gather` and `shared`. What others may use is named here.
"""

from lmconv_resource.lifecycle.fleet.controller import FleetController
from lmconv_resource.lifecycle.fleet.table import FLEET_PROPERTIES

__all__ = ["FLEET_PROPERTIES", "FleetController"]
