"""What is done before by the process that workers of all tests are forked from: a report's page is compiled once, not for each release."""

from fashion_assets.catalog.pictures import Limits
from fashion_assets.reports import page

page.template(Limits())
