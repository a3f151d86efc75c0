"""The report as PDF, for the file that is kept: the page as its print style lays it out."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from scaling.errors import ConfigError

_INSTALL = "pip install 'scaling-forecast[pdf]'"


def require_pdf() -> None:
    """Raise ConfigError, with what to install, where no PDF can be written."""
    try:
        import weasyprint  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"a report as .pdf needs WeasyPrint: {_INSTALL}; or write .html, and print that"
        ) from error
    except OSError as error:  # it is there, and a library that it loads is not
        raise ConfigError(
            "WeasyPrint does not find the library Pango: apt install libpango-1.0-0 "
            "libpangoft2-1.0-0 libharfbuzz-subset0, or brew install pango; or write .html, and "
            "print that"
        ) from error


def pdf_of(page: str) -> bytes:
    """The HTML page as a tagged PDF (PDF/UA-1), whose figures keep their alternative texts. Nothing
    is loaded: a page carries what it shows. Raises ConfigError as `require_pdf` does."""
    require_pdf()
    import weasyprint
    from weasyprint.urls import URLFetcher

    with _unheard("weasyprint", "fontTools"):
        document = weasyprint.HTML(string=page, url_fetcher=URLFetcher(allowed_protocols=("data",)))
        return bytes(document.write_pdf(pdf_variant="pdf/ua-1"))


@contextmanager
def _unheard(*names: str) -> Iterator[None]:
    """Without what these libraries log: rules that only screens know, tables of fonts."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
