"""A report as a reader of HTML sees it."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Every tag with its attributes, and the text in between."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += f"{data} "
