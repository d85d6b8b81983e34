"""Writes prompts.jsonl (400 rows) and suite.jsonl (60 rows): a hero, a place, an object and a mood for each story.

The draw is seeded and no combination occurs twice, so running this again writes the same files.
"""
import json
import random
from pathlib import Path

HEROES = [
    "a little fox", "a brave mouse", "a shy girl named Mia", "a boy named Tom", "an old turtle", "a curious kitten",
    "a young dragon", "a small robot", "a clever crow", "a gentle bear", "a baby owl", "a lonely snowman",
    "a girl named Lily", "a boy named Sam", "a tiny elephant", "a funny frog", "a lost puppy", "a kind witch",
    "a sleepy rabbit", "a proud rooster", "a quiet hedgehog", "a playful dolphin", "a young baker named Ben",
    "a princess named Anna",
]
PLACES = [
    "in a dark forest", "by the sea", "on a farm", "in a small village", "on a high mountain", "in a busy city",
    "in an old castle", "in a garden", "on a snowy hill", "near a river", "in a quiet library", "on an island",
    "in a school", "at a market", "under a big tree", "in a little house",
]
OBJECTS = [
    "a red ball", "a golden key", "a broken toy", "a magic lamp", "a blue umbrella", "an old map", "a shiny stone",
    "a warm blanket", "a paper boat", "a silver bell", "a jar of honey", "a lost letter", "a wooden box", "a kite",
    "a yellow hat", "a birthday cake",
]
MOODS = ["happy", "sad", "funny", "exciting", "calm", "scary", "hopeful", "surprising"]


def main() -> None:
    generator = random.Random(20250120)
    seen, rows = set(), []
    while len(rows) < 460:
        row = tuple(generator.choice(words) for words in (HEROES, PLACES, OBJECTS, MOODS))
        if row not in seen:
            seen.add(row)
            rows.append(dict(zip(("hero", "place", "object", "mood"), row)))
    folder = Path(__file__).parent
    for name, part in (("prompts.jsonl", rows[:400]), ("suite.jsonl", rows[400:])):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")


main()
