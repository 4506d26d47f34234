/* What a run tells of itself: a line for each epoch, and notes of how it began and ended. */
#include <math.h>
#include <stdio.h>

#include "train/journal.h"
#include "train/train.h"

const char *skv_fit_loss_text(double loss, char *buffer, size_t size) {
    (void)snprintf(buffer, size, fabs(loss) < 1e5 || isnan(loss) ? "%.4f" : "%.6g", loss);
    return buffer;
}

void skv_fit_log_epoch(skive_context *ctx, const char *what, const skive_train_options *o,
                       const skive_epoch_report *row) {
    char train[48] = "", validation[48] = "", number[24], more[200] = "";
    size_t n = 0;
    for (size_t i = 0; i < skv_metric_count() && i < SKIVE_EPOCH_FIGURES && n < sizeof more; i++)
        if (!isnan(row->figures[i]) && skv_journal_tells(o, i))
            n += (size_t)snprintf(more + n, sizeof more - n, "  %s %.4g", skv_metric_name(i), row->figures[i]);
    if (!isnan(row->train_accuracy)) snprintf(train, sizeof train, "  train %.2f %%", 100 * row->train_accuracy);
    if (!isnan(row->validation_accuracy))
        snprintf(validation, sizeof validation, "  validation %.2f %%", 100 * row->validation_accuracy);
    else if (!isnan(row->validation_rmse))
        snprintf(validation, sizeof validation, "  validation RMSE %.6g", row->validation_rmse);
    else if (!isnan(row->validation_loss))
        snprintf(validation, sizeof validation, "  validation loss %s",
                 skv_fit_loss_text(row->validation_loss, number, sizeof number));
    skv_log(ctx, SKIVE_LOG_INFO, "%s epoch %d/%d  loss %s%s%s%s  rate %.5f  %.1f s", what, row->epoch, o->epochs,
            skv_fit_loss_text(row->loss, number, sizeof number), train, validation, more, row->learning_rate,
            row->seconds);
}

void skv_fit_note_chance(skive_context *ctx, const char *what, const skive_dataset_info *info,
                         const skive_train_report *report) {
    if (!info->labelled || info->classes < 2) return;
    for (size_t i = 0; i < report->n_epochs; i++) {
        const skive_epoch_report *row = &report->epochs[i];
        const bool validated = !isnan(row->validation_accuracy);
        const double accuracy = validated ? row->validation_accuracy : row->train_accuracy;
        if (row->epoch != report->best_epoch || isnan(accuracy) || accuracy > 1.2 / (double)info->classes + 0.005)
            continue;
        skv_note(ctx,
                 "%s ended at %.1f %% of the %s samples, no better than guessing among %lld classes: try a lower "
                 "learning rate or --clip-norm",
                 what, 100 * accuracy, validated ? "validation" : "training", (long long)info->classes);
    }
}

void skv_fit_tell_resumed(skive_context *ctx, const skv_checkpoint *p, size_t batches, const char *path, bool stopped) {
    if (p->in_epoch)
        skv_note(ctx, "resumed after epoch %d and %lld of the %zu steps of epoch %d from %s", (int)p->epoch,
                 (long long)p->in_epoch, batches, (int)p->epoch + 1, path);
    else
        skv_note(ctx, "resumed after epoch %d from %s", (int)p->epoch, path);
    if (stopped) {
        skv_note(ctx,
                 "that run had ended early, after epoch %d of %d, and stays so; without the checkpoint a run starts "
                 "anew",
                 (int)p->epoch, (int)p->run_epochs);
    } else if (p->run_epochs != p->epochs) {
        skv_note(ctx,
                 "that run was planned with %d epochs: the learning rates until epoch %d were those for %d epochs, now "
                 "they are those for %d",
                 (int)p->run_epochs, (int)p->epoch, (int)p->run_epochs, (int)p->epochs);
    } else if (p->epoch == p->epochs) {
        skv_note(ctx, "all %d epochs are done; give more epochs to continue training", (int)p->epochs);
    }
}

void skv_fit_tell_left_out(skive_context *ctx, size_t samples, size_t batch) {
    enum { MANY = 20 }; /* one in so many */
    const size_t rest = samples % batch;
    if (samples > batch && rest * MANY > samples)
        skv_note(
            ctx,
            "%zu of the %zu samples, others in each epoch, are left out because they do not fill a batch of %zu: a "
            "smaller batch leaves out fewer (--batch)",
            rest, samples, batch);
}

skive_status skv_fit_tell_idle(skive_context *ctx, const skv_course *c, bool classes) {
    const skive_train_options *o = c->args.options;
    skv_text t;
    skv_text_init(&t, ctx);
    if (o->epochs > 0 && !o->find_lr && !c->schedule->own_warmup && o->warmup_epochs > o->epochs)
        skv_text_add(
            &t,
            "the warm-up of %g epochs is longer than the run of %d: the learning rate grows to %.0f %% of what "
            "it should be, and the schedule has no effect",
            o->warmup_epochs, o->epochs, 100 * o->epochs / o->warmup_epochs);
    SKV_TRY(skv_text_note_once(&t));
    if (o->raw_targets && classes)
        skv_note(ctx, "raw targets are for values; the data have classes, for which they mean nothing");
    return SKIVE_OK;
}
