"""The live pages: what verbs and report answer, in a browser, while a sweep is still training.

They compute nothing themselves: each number comes from the library call that the verb makes.
Streamlit and Plotly are imported in this package alone.

    feeds.py      where data comes from
    state.py      what a viewer has chosen, all of it in the page's address
    cache.py      answers kept by the content of what they were made from
    page.py       what each page is given
    parts/        what several pages are made of: budgets, devices, downloads, what changed
    pages/        one module a page; registry.py lists them, app.py shows them
"""

LARGEST_UPLOAD_MB = 50  # which the server refuses before it reads, and pages say
