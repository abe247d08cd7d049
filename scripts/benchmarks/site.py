"""An invented site and its life, the same each time: what the measured databases hold.

Documents with text lie in folders, folders in sections, as BTrees with a
record for each bucket. Every document knows its folder, every tenth a related
one; some have a weak reference, or metadata that refer back. Then there are a
catalog and blobs. After that the site lives: documents are edited, a tenth of
them is deleted, some changes are undone, also creations. In the end 56 % of
the records are garbage.

Oids come in blocks, so that the oid of each part follows from its number and
nothing needs to be kept in memory.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from BTrees.IIBTree import IIBTree, IIBucket
from BTrees.OOBTree import OOBTree, OOBucket
from persistent.mapping import PersistentMapping
from ZODB.blob import Blob

from benchmarks.writing import Database, Reference, reference, weak_reference

SEED = 42
BUCKET = 15  # entries: what BTrees have in buckets that grew at their end
FOLDER = 200  # documents
SECTION = 225  # folders
META_EVERY = 50  # documents
CATALOG = 100  # buckets


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How much there is of what. ``edits`` counts documents, several in a transaction."""

    folders: int
    edits: int
    blobs: int
    undos: int


class Branch:
    """A container with a BTree: oids in a row for itself, the tree and the tree's buckets."""

    def __init__(self, database: Database, oid: int, entry: Callable[[int], Reference]) -> None:
        self.database, self.oid, self.entry = database, oid, entry

    @staticmethod
    def oids(capacity: int) -> int:
        """Return how many oids a branch of so many places needs."""
        return 2 + -(-capacity // BUCKET)

    def store(self, name: str, parent: int) -> None:
        """Make the container, with an empty tree."""
        content = {
            "name": name,
            "__parent__": reference(parent, PersistentMapping),
            "items": reference(self.oid + 1, OOBTree),
        }
        self.database.store(self.oid, PersistentMapping, {"data": content})
        self.database.store(self.oid + 1, OOBTree, None)

    def grow(self, low: int, high: int) -> None:
        """Fill the places from LOW on, until HIGH of them are taken."""
        before, last = (low - 1) // BUCKET, (high - 1) // BUCKET
        if last > before:
            self._store_tree(last + 1)
        for number in range(max(before, 0), last + 1):
            self.store_bucket(number, high)

    def store_bucket(
        self,
        number: int,
        count: int,
        is_empty: Callable[[int], bool] = lambda place: False,
        extra: tuple[str, Reference] | tuple[()] = (),
    ) -> None:
        """Store a bucket, when COUNT places are taken but for those that ``is_empty`` says."""
        flat: list[object] = []
        for place in range(number * BUCKET, min((number + 1) * BUCKET, count)):
            if not is_empty(place):
                flat += (_key(place), self.entry(place))
        flat += extra
        state: tuple[object, ...] = (tuple(flat),)
        if (number + 1) * BUCKET < count:
            state += (self._bucket(number + 1),)
        self.database.store(self.bucket_oid(number), OOBucket, state)

    def bucket_oid(self, number: int) -> int:
        """Return the oid of a bucket."""
        return self.oid + 2 + number

    def _store_tree(self, buckets: int) -> None:
        flat: list[object] = [self._bucket(0)]
        for number in range(1, buckets):
            flat += (_key(number * BUCKET), self._bucket(number))
        self.database.store(self.oid + 1, OOBTree, (tuple(flat), self._bucket(0)))

    def _bucket(self, number: int) -> Reference:
        return reference(self.bucket_oid(number), OOBucket)


def _key(place: int) -> str:
    return f"item-{place:06}"


class Text:
    """Invented text, cut from a long piece of it."""

    def __init__(self, rng: random.Random) -> None:
        letters = "abcdefghijklmnopqrstuvwxyz"
        self._words = ["".join(rng.choices(letters, k=rng.randint(2, 11))) for _ in range(5000)]
        self._words += ["größe", "naïve", "日本", "żółw"]
        self._text = " ".join(rng.choices(self._words, k=200_000))
        self._rng = rng

    def piece(self, length: int) -> str:
        """Return so many characters."""
        start = int(self._rng.random() * (len(self._text) - length))
        return self._text[start : start + length]

    def word(self) -> str:
        """Return a word."""
        return self._words[int(self._rng.random() * len(self._words))]


class Site:
    """The site; ``live`` writes its whole life into a database."""

    def __init__(self, database: Database, shape: Shape) -> None:
        self.database, self.shape = database, shape
        self.rng = random.Random(SEED)
        self.text = Text(self.rng)
        self.documents = shape.folders * FOLDER
        self._sections = -(-shape.folders // SECTION)
        new_oids = database.new_oids
        new_oids(1)  # the root
        self._catalog = new_oids(1 + CATALOG)
        self._first_blob = new_oids(shape.blobs)
        self._first_section = new_oids(self._sections * Branch.oids(SECTION))
        self._folder_block = Branch.oids(FOLDER) + FOLDER + FOLDER // META_EVERY
        self._top = Branch(database, new_oids(Branch.oids(self._sections)), self._section_entry)
        self._blobs = Branch(database, new_oids(Branch.oids(shape.blobs)), self._blob_entry)
        self._first_folder = new_oids(shape.folders * self._folder_block)

    def live(self) -> None:
        """Write all that ever happens."""
        self._start()
        self._add_folders()
        self._add_blobs()
        self._edit()
        self._delete()
        self._undo()
        self._undo_creations()

    def document_oid(self, number: int) -> int:
        """Return the oid of the document NUMBER."""
        folder, place = divmod(number, FOLDER)
        return self._folder_oid(folder) + Branch.oids(FOLDER) + place

    def _start(self) -> None:
        """Make the root, the catalog, and sections without folders."""
        content = {
            "sections": reference(self._top.oid, PersistentMapping),
            "blobs": reference(self._blobs.oid, PersistentMapping),
            "catalog": reference(self._catalog, IIBTree),
        }
        self.database.store(0, PersistentMapping, {"data": content})
        self._top.store("sections", 0)
        self._blobs.store("blobs", 0)
        self._top.grow(0, self._sections)
        for number in range(self._sections):
            self._section(number).store(f"section-{number}", self._top.oid)
        buckets = [reference(self._catalog + 1 + number, IIBucket) for number in range(CATALOG)]
        flat: list[object] = [buckets[0]]
        for number in range(1, CATALOG):
            flat += (1000 * number, buckets[number])
        self.database.store(self._catalog, IIBTree, (tuple(flat), buckets[0]))
        for number in range(CATALOG):
            self._store_catalog_bucket(number)
        self.database.commit(b"admin", b"start")

    def _add_folders(self) -> None:
        """Add the folders with their documents, half a folder in a transaction."""
        half = FOLDER // 2
        for number in range(self.shape.folders):
            section, place = divmod(number, SECTION)
            folder = self._folder(number)
            folder.store(f"folder-{number}", self._section(section).oid)
            self._section(section).grow(place, place + 1)
            for low, high in ((0, half), (half, FOLDER)):
                for document in range(number * FOLDER + low, number * FOLDER + high):
                    self._store_document(document)
                    self._store_meta(document)
                folder.grow(low, high)
                self.database.commit(b"admin", b"add %d" % number)

    def _add_blobs(self) -> None:
        """Add blobs, write a quarter of them again, delete a tenth."""
        count = self.shape.blobs
        for low in range(0, count, 50):
            high = min(low + 50, count)
            for number in range(low, high):
                self._store_blob(number)
            self._blobs.grow(low, high)
            self.database.commit(b"admin", b"add blobs")
        for number in range(0, count, 4):
            self._store_blob(number)
            self.database.commit(b"admin", b"write a blob")
        for bucket in range(-(-count // BUCKET)):
            self._blobs.store_bucket(bucket, count, lambda place: place % 10 == 0)
        self.database.commit(b"admin", b"delete blobs")

    def _edit(self) -> None:
        """Edit documents anywhere, and the catalog now and then."""
        done = transactions = 0
        while done < self.shape.edits:
            for _ in range(self.rng.choice((1, 3, 10, 20))):
                self._store_document(self.rng.randrange(self.documents))
                done += 1
            if transactions % 20 == 0:
                self._store_catalog_bucket(self.rng.randrange(CATALOG))
            self.database.commit(b"user-%d" % (transactions % 17), b"edit")
            transactions += 1

    def _delete(self) -> None:
        """Delete a tenth of the documents."""
        for number in range(self.shape.folders):
            for bucket in range(-(-FOLDER // BUCKET)):
                self._store_bucket_of_those_left(number, bucket)
            if number % 3 == 0:
                self.database.commit(b"admin", b"delete")
        self.database.commit(b"admin", b"delete")

    def _undo(self) -> None:
        """Edit documents and undo it."""
        for _ in range(self.shape.undos):
            before = {}
            for number in self.rng.sample(range(self.documents), 5):
                oid = self.document_oid(number)
                before[oid] = self.database.position(oid)
                self._store_document(number)
            self._commit_and_undo(before)

    def _undo_creations(self) -> None:
        """Add documents and undo it."""
        last = (FOLDER - 1) // BUCKET
        for _ in range(-(-self.shape.undos // 6)):
            number = self.rng.randrange(self.shape.folders)
            bucket = self._folder(number).bucket_oid(last)
            new = self.database.new_oids(1)
            before = {bucket: self.database.position(bucket), new: 0}
            document = reference(new, PersistentMapping)
            self._store_bucket_of_those_left(number, last, ("new", document))
            self._store_document(number * FOLDER, new)
            self._commit_and_undo(before)

    def _commit_and_undo(self, before: dict[int, int]) -> None:
        self.database.commit(b"admin", b"to be undone")
        self.database.undo(before)
        self.database.commit(b"admin", b"undo")

    def _section(self, number: int) -> Branch:
        def entry(place: int) -> Reference:
            return reference(self._folder_oid(number * SECTION + place), PersistentMapping)

        oid = self._first_section + number * Branch.oids(SECTION)
        return Branch(self.database, oid, entry)

    def _section_entry(self, place: int) -> Reference:
        return reference(self._section(place).oid, PersistentMapping)

    def _folder(self, number: int) -> Branch:
        def entry(place: int) -> Reference:
            return reference(self.document_oid(number * FOLDER + place), PersistentMapping)

        return Branch(self.database, self._folder_oid(number), entry)

    def _folder_oid(self, number: int) -> int:
        return self._first_folder + number * self._folder_block

    def _blob_entry(self, place: int) -> Reference:
        return reference(self._first_blob + place, Blob)

    def _store_bucket_of_those_left(
        self, folder: int, bucket: int, extra: tuple[str, Reference] | tuple[()] = ()
    ) -> None:
        first = folder * FOLDER
        self._folder(folder).store_bucket(
            bucket, FOLDER, lambda place: is_deleted(first + place), extra
        )

    def _store_document(self, number: int, oid: int = 0) -> None:
        """Store a document with new content, by default under the oid that is its own."""
        rng, text = self.rng, self.text
        folder, place = divmod(number, FOLDER)
        content = {
            "title": text.piece(40),
            "body": text.piece(min(1750, max(60, int(rng.lognormvariate(5.6, 0.7))))),
            "size": rng.getrandbits(40),
            "score": rng.random(),
            "tags": (text.word(), text.word(), text.word()),
            "created": datetime(2020, 1, 1) + timedelta(seconds=rng.getrandbits(26)),
            "raw": rng.randbytes(16),
            "flags": {"a": True, "b": None, "c": [1, 2, -3]},
            "__parent__": reference(self._folder_oid(folder), PersistentMapping),
        }
        if place and number % 10 == 0:
            content["related"] = [reference(self.document_oid(number - 1), PersistentMapping)]
        if place and number % 100 == 7:
            content["weak"] = weak_reference(self.document_oid(number - 1))
        if number % META_EVERY == 0:
            content["meta"] = reference(self._meta_oid(number), PersistentMapping)
        oid = oid or self.document_oid(number)
        self.database.store(oid, PersistentMapping, {"data": content})

    def _store_meta(self, number: int) -> None:
        if number % META_EVERY == 0:
            document = reference(self.document_oid(number), PersistentMapping)
            content = {"about": self.text.piece(200), "document": document}
            self.database.store(self._meta_oid(number), PersistentMapping, {"data": content})

    def _meta_oid(self, number: int) -> int:
        folder, place = divmod(number, FOLDER)
        return self._folder_oid(folder) + Branch.oids(FOLDER) + FOLDER + place // META_EVERY

    def _store_catalog_bucket(self, number: int) -> None:
        keys = sorted(self.rng.sample(range(1000 * number, 1000 * (number + 1)), 60))
        following = number + 1
        flat = [value for key in keys for value in (key, self.rng.getrandbits(16))]
        state: tuple[object, ...] = (tuple(flat),)
        if following < CATALOG:
            state += (reference(self._catalog + 1 + following, IIBucket),)
        self.database.store(self._catalog + 1 + number, IIBucket, state)

    def _store_blob(self, number: int) -> None:
        oid = self._first_blob + number
        self.database.store_blob(oid, self.rng.randbytes(self.rng.randint(100, 3000)))
        self.database.store(oid, Blob, None)


def is_deleted(number: int) -> bool:
    """Return whether the document NUMBER is one of those that are deleted at the end."""
    folder, place = divmod(number, FOLDER)
    return (place * 11 + folder) % 28 < 3
