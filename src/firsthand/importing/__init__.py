"""Files into events: CSV, blank-separated text, JSON lines and Parquet, through the running collector.

    file ──► reader ──► maker ──► batches ──► collector
             rows       events    at most      a few requests in flight
                                  500 events

- Every rule of the collector holds, because the events go through it like any others.
- A row is known by the content of its file and its line. Its event's `messageId` is made of both, so the collector
  knows it again for a day, however often it is sent.
- A journal remembers for good what the collector has acknowledged, and which lines are on their way. After `kill -9`
  the import goes on behind the last acknowledged line, and only what was on its way is sent again.
- Memory does not grow with the file: rows are read as they are needed, and what waits is bounded.
- A row that can't be used is set aside with its line, its field and the reason. It never stops the others.
"""
