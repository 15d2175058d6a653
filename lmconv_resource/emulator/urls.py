"""Where the emulated License Manager listens: one POST to `/`, as in all of AWS's JSON services."""

from .laboratory import LaboratoryResponse as LicenseManagerResponse  # in moto it would be that of .responses

url_bases = [
    r"https?://license-manager(?:-fips)?\.(.+)\.amazonaws\.com(?:\.cn)?",
    r"https?://license-manager(?:-fips)?\.(.+)\.api\.(?:aws|amazonwebservices\.com\.cn)",  # for IPv6 as well
]

url_paths = {"{0}/$": LicenseManagerResponse.dispatch}
