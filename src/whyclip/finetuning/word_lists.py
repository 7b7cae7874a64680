"""Closed classes of English words for the phrase rules; lower case."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ARTICLES = _words("a an the his her its their my your our this these those")
DETERMINERS = ARTICLES | _words(
    "that some any each every no another both all several many few more most much enough one "
    "two three four five six seven eight nine ten eleven twelve twenty hundred thousand either "
    "neither various multiple other"
)
PREPOSITIONS = _words(
    "despite of in on at by for from with without to into onto upon over under above below "
    "beneath beside besides between among amongst behind before after across through throughout "
    "against along alongside around about near next off out up down inside outside within "
    "toward towards during until till since past via like as than per amid amidst beyond "
    "underneath atop opposite featuring including because while when where if though although"
)
# Verbs often precede these, plural nouns rarely.
AFTER_VERBS = _words("through into onto toward towards past during against")
CONJUNCTIONS = _words("and or but nor plus versus vs")
PRONOUNS = _words(
    "i you he she it we they me him them himself herself itself themselves each-other who whom "
    "whose which what how why there here someone somebody something anyone anything everyone "
    "everybody everything nobody nothing others hers mine yours theirs ours"
)
AUXILIARIES = _words(
    "is are was were be been being am do does did has have had having can could will would "
    "shall should may might must isn't aren't wasn't weren't don't doesn't didn't can't won't "
    "it's that's there's let's gets got get goes went gone"
)
HAVE = _words("has have had having")
ADVERBS = _words(
    "very too quite so just also not never always often again away together now then still "
    "already almost only even rather really perhaps maybe ago back forward ahead aside apart "
    "forth later today yesterday tomorrow yes please etc alone mostly else well ever once twice "
    "indoors outdoors"
)
LY_WORDS = _words(
    "family butterfly jelly fly lily belly bully ally rally dolly italy july holly trolley "
    "assembly lonely friendly elderly silly ugly lovely curly woolly hilly chilly wooly holy "
    "only daily early smelly deadly lively wrinkly bubbly gnarly sparkly dragonfly firefly "
    "supply reply anomaly"
)
COLOURS = _words(
    "red orange yellow green blue purple pink brown black white grey gray golden gold silver "
    "beige tan turquoise violet maroon teal navy"
)
ADJECTIVES = COLOURS | _words(
    "dead ideal big small little large huge tiny tall short long high low wide narrow thick "
    "thin fat round square flat deep old young new modern ancient vintage antique fresh ripe "
    "hot cold warm cool wet dry clean dirty clear dark light bright pale happy sad angry cute "
    "beautiful pretty handsome good nice great best better fine bad poor rich busy empty full "
    "open closed wild calm quiet loud soft hard rough smooth sharp wooden plastic rusty sunny "
    "cloudy rainy snowy sandy rocky grassy lonely friendly elderly lovely male female "
    "traditional tropical colorful colourful same different single double several first second "
    "third last final real true free main own able asleep awake ready strong weak heavy fast "
    "slow steep shiny fluffy furry hairy various"
)
ADJECTIVE_ENDINGS = ("ful", "less", "ous", "ish")
NOUN_ENDINGS = ("fish", "dish", "handful", "finish", "polish", "mouthful")
# Adjectives that follow their noun, as in "a jar full of candies".
TRAILING = _words("full asleep awake ready high open closed busy different")
ING_NOUNS = _words(
    "training drawing building ceiling wedding ring string painting clothing king wing thing "
    "evening morning icing railing spring sling sting lightning pudding stuffing frosting "
    "earring duckling dumpling dressing seasoning awning opening meeting being bedding sibling "
    "sterling viking plumbing offspring topping stocking flooring fencing yearling crossing "
    "landing"
)
# After a noun, "dining" is a verb, but not in "rustic dining room".
ING_HEADS = _words(
    "room pool meter board cart machine glass lot suit pole rod bag gloves rack track shoes area"
)
ED_NOUNS = _words(
    "bed shed seed red sled weed speed breed reed feed hundred steed moped bed-shed need"
)
PARTICIPLES = _words(
    "made worn built seen held hung written drawn taken set shot left lit shown given caught "
    "thrown torn broken frozen eaten driven ridden stuck cut found kept sat stood ran laid lain "
    "won lost spread sold bought brought born grown known led met fed split bent woven"
)
PLURALS = _words(
    "people men women children police cattle geese feet teeth mice sheep deer fish crew fans crowd"
)
# More often plural nouns than verbs.
S_NOUNS = _words(
    "slices leaves drops lights plants stops steps waves lines signs packs ships rolls bites "
    "works boards hands faces cards races helps brushes packets scores touches picks paints"
)
# Base forms that are always verbs after a noun.
VERBS = _words(
    "arrive wear carry sit eat listen swim explode celebrate perform prepare enjoy attend speak "
    "graze gallop gather build entertain compete wait write throw hold bring buy sell become "
    "appear remain contain discuss decorate draw sing lie lay hang read learn teach choose "
    "create make take give keep let put see say know think want need find lead leave meet send "
    "tell understand arrange follow include participate react respond sleep surround go come "
    "feed relax peek catch drive fly"
)
# Base forms that are nouns too: verbs after a plural noun, or with -s after any noun.
NOUN_VERBS = _words(
    "promise form tour walk run play ride jump stand look watch cut pull push drink dance float "
    "rise pose shake harvest cross swing kick hit blow brush cook bake talk smile laugh kiss "
    "hug climb skate surf ski dive drop lean rest stop start turn move travel work smoke fight "
    "race lift reach fall set pass perch cover cheer spray repair chase hand greet host visit "
    "share use wave roll slide stretch point face sail park return head help try call line fill "
    "top serve stare gaze sprint crawl show roam soar land dunk tackle score address release "
    "view compete exchange raise sign answer check plant pick paint pack pet pour slice smell "
    "sniff splash step stir strike taste touch train wash welcome wander burn grow break bite "
    "graze lick nap display sport leap speed await guard"
)
ALWAYS_FRAMES = _words(
    "photo photos photograph photographs photography picture pictures image images illustration "
    "illustrations background backgrounds backdrop foreground closeup close-up closeups footage "
    "snapshot stock clipart wallpaper selfie img jpg png"
)
FRAMES_BEFORE = _words("of with showing from featuring")
FRAMES = _words(
    "view views shot shots portrait portraits drawing drawings painting paintings sketch "
    "sketches scene emoji vector render rendering icon depiction screenshot"
)
QUANTITIES = _words(
    "group groups couple bunch pair pairs lot lots number variety set sets kind type types "
    "kinds sort series collection plenty dozens hundreds thousands assortment array amount rest "
    "part parts selection range tons"
)
# Parts of complex prepositions, such as "in front of" and "on the side of".
POSITIONS = _words("front middle center centre side sides left right edge rear foreground")
