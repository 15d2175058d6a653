"""Where the emulated License Manager listens: one POST to `/`, as in all of AWS's JSON services."""

from .responses import LicenseManagerResponse

url_bases = [r"https?://license-manager\.(.+)\.amazonaws\.com"]

url_paths = {"{0}/$": LicenseManagerResponse.dispatch}
