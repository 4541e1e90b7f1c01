from shop.search import update_search_index

for version in range(1, 4):
    update_search_index.enqueue(12, version)
