"""The pages: each module measures one thing and writes one page. A page is a module with `NAME`, `TITLE` and `run`."""
