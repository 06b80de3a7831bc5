"""Words that every topic shares: people, towns, dates and how people address an assistant."""

from data_processing.simulated.draws import Draws
from data_processing.simulated.topics.topic import listed

FIRST_NAMES = listed("""Ada, Amina, Anders, Aoife, Beatriz, Bruno, Carmen, Chen, Clara, Dario, Diego, Edith, Elif,
    Emeka, Farah, Felix, Freya, Giulia, Hana, Hugo, Imani, Ingrid, Ivan, Jamal, Jonas, Kaito, Keira, Kofi, Laila,
    Leon, Lin, Lucia, Magnus, Malik, Mara, Mei, Milan, Nadia, Noor, Olga, Omar, Paola, Priya, Rafael, Ravi, Rosa,
    Samir, Selma, Sofia, Tariq, Thea, Tomas, Ulla, Viktor, Wanda, Yara, Yusuf, Zadie""")
SURNAMES = listed("""Abara, Aldous, Arkwright, Bellamy, Birchall, Calloway, Castellan, Corrigan, Dalgaard, Delacroix,
    Eastman, Ekwueme, Falkner, Ferrante, Galloway, Grieve, Hallam, Haverford, Ibarra, Jessop, Kestrel, Kimura, Lachlan,
    Lindqvist, Marlow, Mbeki, Nakamura, Northcott, Okafor, Ortega, Pemberton, Petrov, Quennell, Radcliffe, Rossi,
    Sandoval, Sinclair, Tamsin, Thackeray, Ulrich, Valdez, Vance, Wexler, Whitlock, Yamada, Zeller""")
TOWNS = listed("""Harrow Bay, Lower Tansley, Port Esker, Gillingford, Saint Orla, Kettlewick, Ombra Falls, Redmarsh,
    Cape Dunmore, Vellin, Upper Corrie, Ashgrove, Torvik, Santa Perla, Blackwater Cross, Mirefield, Novigorsk,
    Elmhurst Hollow, Quarrytown, Belle Marais, Fenwick Sands, Oldcastle, Tarnby, Windlesea, Juniper Hill,
    Castrobello""")
DAYS = listed("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday")
MONTHS = listed("""January, February, March, April, May, June, July, August, September, October, November, December""")
AUDIENCES = listed("""a complete beginner, a busy parent, a curious teenager, a retired neighbour, a group of students,
    a nervous colleague, an impatient friend, a new volunteer, a sceptical uncle, a small team,
    a visually impaired reader, somebody with very little money, a visitor from abroad, a primary school class,
    a night shift worker, an experienced amateur""")
NUMBER_WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
REGISTERS = ("plain", "formal", "casual")


def person(draws: Draws) -> str:
    """Return a first name and a surname."""
    return f"{draws.choice(FIRST_NAMES)} {draws.choice(SURNAMES)}"


def date(draws: Draws, first_year: int) -> str:
    """Return a date such as `12 March 1847`, from `first_year` to 2019."""
    return f"{draws.between(1, 28)} {draws.choice(MONTHS)} {draws.between(first_year, 2019)}"
