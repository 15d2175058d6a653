"""Many conversions as one resource: a table of instances, in order, so many at a time.

`table` is what a program asks for, `survey` what is to be done with each row and `plan` how that is shown, `schedule`
which row is begun when, `run` one operation, `row` what becomes of one, `report` what is said of it. `gather` asks AWS
for many rows at once, by calls that are `shared`; a row's job reaches it by its `services`. What others may use is
named here.
"""

from lmconv_resource.lifecycle.fleet.controller import FleetController
from lmconv_resource.lifecycle.fleet.table import FLEET_PROPERTIES, ROW_MEMBERS, TABLE

__all__ = ["FLEET_PROPERTIES", "ROW_MEMBERS", "TABLE", "FleetController"]
