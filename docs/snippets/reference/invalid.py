from shop.tasks import count_words
from taskworks.exceptions import InvalidTask

for options in ({"max_attempts": 0}, {"timeout": -1}, {"executor": "async"}):
    try:
        count_words.using(**options)
    except InvalidTask as error:
        print(error)
