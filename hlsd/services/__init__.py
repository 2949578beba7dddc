"""Every way in and every way out of one node: `table` lists them, `Services` holds them."""

from hlsd.services.services import Made as Made
from hlsd.services.services import Services as Services
from hlsd.services.table import FRONTS as FRONTS
from hlsd.services.table import SERVICES as SERVICES
