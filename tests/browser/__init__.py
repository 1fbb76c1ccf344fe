"""The admin in a real browser: what people do all day, on a real site with a real worker."""
