from datetime import datetime

from shop.tasks import count_words

try:
    count_words.enqueue({"orders": [datetime(2030, 1, 1)]})
except TypeError as error:
    print(error)
