"""Makes knmi-4km.nc of KNMI's files of five minutes each, RAD_NL25_RAP_5min_*.h5: means of 4 x 4 pixels, in mm/h, with coordinates.

python small.py FOLDER    (FOLDER: radar/KNMI/2010/08 of the repository pySTEPS/pysteps-data)
"""

import sys
from pathlib import Path

import h5py
import numpy as np
import xarray

files = sorted(Path(sys.argv[1]).glob("RAD_NL25_RAP_5min_*.h5"))
stored = np.stack([h5py.File(path)["image1/image_data"][220:636, 160:576] for path in files])  # what the radars reach
rain = np.where(stored == 65535, np.nan, stored * np.float32(0.01 * 12))  # hundredths of mm in five minutes
small = rain.reshape(len(files), 104, 4, 104, 4).mean((2, 4)).astype(np.float32)  # missing where one of the 16 is
times = [np.datetime64(f"{s[:4]}-{s[4:6]}-{s[6:8]}T{s[8:10]}:{s[10:]}", "ns") for s in (path.stem[-12:] for path in files)]
along = {"units": "km", "standard_name": "projection_x_coordinate"}
data = xarray.Dataset(
    {"rain": (("time", "y", "x"), small, {"units": "mm/h", "long_name": "rain rate over five minutes"})},
    coords={
        "time": times,
        "y": ("y", -(3650 + 220 + 4 * np.arange(104) + 2.0), along | {"standard_name": "projection_y_coordinate"}),
        "x": ("x", 160 + 4 * np.arange(104) + 2.0, along),
    },
    attrs={
        "source": "KNMI, RAD_NL25_RAP_5min",
        "projection": "+proj=stere +lat_0=90 +lon_0=0 +lat_ts=60 +a=6378.137 +b=6356.752 +x_0=0 +y_0=0",
    },
)
data.to_netcdf("knmi-4km.nc", engine="h5netcdf")
print(small.shape, f"{np.nanmin(small)}..{np.nanmax(small)} mm/h", f"{np.isnan(small).mean():.1%} missing")
