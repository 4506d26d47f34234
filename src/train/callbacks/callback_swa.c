/* Stochastic weight averaging (Izmailov et al. 2018): the mean of the weights at the ends of epochs, from one epoch on.
 * The statistics of BatchNormalization fit none of the weights that are averaged; they are computed anew, as the mean
 * of those of batches of the epoch that ended, run through the averaged network. Epochs from that one on are validated
 * and compared with the averages; those before do not count.
 *
 * "START[,every=1][,lr=X][,batches=100]": START epochs are done before the first that is averaged; of the later ones
 * every N-th is. The learning rate is `lr` from there on, where it is given; otherwise the schedule's. */
#include "train/callbacks/averages.h"
#include "train/train.h"

typedef struct swa {
    skv_averages averages;
    skv_option_values values;
    int64_t start, every, batches;
    double rate;   /* of learning; 0: the schedule's */
    int64_t epoch; /* that was averaged last */
} swa;

static const skv_option options[] = {
    {.name = "start",
     .type = SKV_OPTION_INTEGER,
     .most = 1e6,
     .required = true,
     .brief = "epochs before the first whose weights are averaged"},
    {.name = "every",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 1e6,
     .fallback = 1,
     .brief = "epochs from one to the next"},
    {.name = "lr",
     .type = SKV_OPTION_REAL,
     .most = 1e3,
     .brief = "learning rate from there on; 0: that of the schedule"},
    {.name = "batches",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 1e9,
     .fallback = 100,
     .brief = "batches from which statistics are computed anew, or as many as an epoch has"},
};

static skive_status parse(skive_context *ctx, const skive_train_options *o, skv_option_values *v) {
    return skv_options_parse(ctx, "swa", options, SKV_LENGTH(options), o->swa, v);
}

static bool asked(const skive_train_options *o) { return o->swa != NULL; }

static skive_status check(skive_context *ctx, const skive_train_options *o) {
    skv_option_values v;
    SKV_TRY(parse(ctx, o, &v));
    if (o->ema > 0)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "swa",
                           "ema and swa both say which model is validated and written; give one of them");
    const int64_t start = skv_option_integer(&v, "start");
    if (o->epochs < 1 || start < o->epochs) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "swa",
                       "swa begins after %lld epochs, but the run has %d: nothing would be averaged", (long long)start,
                       o->epochs);
}

static skive_status start(const skv_callback_site *at, void **self) {
    swa *s = NULL;
    SKV_TRY(skv_alloc_array(at->ctx, 1, sizeof *s, &s));
    *self = s;
    SKV_TRY(parse(at->ctx, at->options, &s->values));
    s->start = skv_option_integer(&s->values, "start");
    s->every = skv_option_integer(&s->values, "every");
    s->rate = skv_option_real(&s->values, "lr");
    s->batches = skv_option_integer(&s->values, "batches");
    return skv_averages_start(at->ctx, at->trainer, &s->averages);
}

static void end(skive_context *ctx, void *self) {
    swa *s = self;
    if (s) skv_averages_free(&s->averages);
    skv_free(ctx, s);
}

static double rate(const void *self, double epoch, double rate_by_schedule) {
    const swa *s = self;
    return s->rate > 0 && epoch > (double)s->start ? s->rate : rate_by_schedule;
}

static bool averaged(const swa *s, int64_t epoch) { return epoch > s->start && (epoch - s->start - 1) % s->every == 0; }

/* With the averaged weights in place. */
static skive_status renew_statistics(swa *s, const skv_watch *w) {
    SKV_TRY(skv_statistics_renewed(w, s->batches, s->averages.statistics));
    skv_trainer_set_statistics(w->trainer, s->averages.statistics);
    return SKIVE_OK;
}

static skive_status show(void *self, const skv_watch *w, bool on) {
    swa *s = self;
    if (w->epoch <= s->start) return SKIVE_OK;
    const bool fresh = on && s->epoch != w->epoch && averaged(s, w->epoch);
    if (fresh) {
        const double n = (double)s->averages.count;
        skv_averages_add(&s->averages, w->trainer, n / (n + 1), false);
        s->epoch = w->epoch;
    }
    SKV_TRY(skv_averages_show(&s->averages, w->trainer, on));
    return fresh ? renew_statistics(s, w) : SKIVE_OK;
}

static skive_status epoch(void *self, const skv_watch *w, bool *counts, bool *stop) {
    const swa *s = self;
    (void)stop;
    if (w->epoch <= s->start) *counts = false;
    return SKIVE_OK;
}

static skive_status states(void *self, skv_trainer *t, skv_states *states) {
    swa *s = self;
    (void)t;
    SKV_TRY(skv_state(states, "swa", "epoch", &s->epoch, 1, sizeof s->epoch));
    return skv_averages_states(&s->averages, states, "swa");
}

const skv_callback skv_callback_swa = {.name = "swa",
                                       .brief = "the mean of the weights of epochs, which is validated and written",
                                       .asked = asked,
                                       .check = check,
                                       .start = start,
                                       .end = end,
                                       .rate = rate,
                                       .show = show,
                                       .epoch = epoch,
                                       .states = states};
