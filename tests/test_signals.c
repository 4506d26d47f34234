/* A program with a timer: a signal may arrive anywhere, and its handler runs on the interrupted thread's stack. If code
 * uses the stack pointer for something else, the handler overwrites the memory below it. The handler checks its
 * address, and the numbers must be those of an undisturbed run. Here whole trainings run; test_interrupts.c has the
 * kernels one by one. CTest runs this program once at each instruction-set level. */
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#include <skive/zoo.h>

#include "train_fixtures.h"

static volatile sig_atomic_t calls, strays;
static uintptr_t stack_low, stack_high;

static void on_timer(int signal_number) {
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    (void)signal_number;
    calls = calls + 1;
    if (here < stack_low || here >= stack_high) strays = strays + 1;
}

static void start_timer(long microseconds) {
    const struct itimerval timer = {.it_interval = {.tv_usec = microseconds}, .it_value = {.tv_usec = microseconds}};
    struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART}; /* on the normal stack */
    pthread_attr_t attributes;
    void *low;
    size_t size;
    assert_int_equal(pthread_getattr_np(pthread_self(), &attributes), 0);
    assert_int_equal(pthread_attr_getstack(&attributes, &low, &size), 0);
    (void)pthread_attr_destroy(&attributes);
    stack_low = (uintptr_t)low;
    stack_high = stack_low + size;
    calls = strays = 0;
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

static void stop_timer(void) {
    const struct itimerval none = {{0, 0}, {0, 0}};
    assert_int_equal(setitimer(ITIMER_REAL, &none, NULL), 0);
}

/* ---- what is run ---- */

typedef struct sample_set {
    const char *spec; /* of a network */
    int64_t channels, size;
} sample_set;

/* A step or two of training on one thread, then one inference: the scores. */
static skive_tensor train_and_run(skive_context *ctx, const sample_set *s) {
    enum { SAMPLES = 8 };
    const int64_t dims[4] = {SAMPLES, s->channels, s->size, s->size}, one[1] = {SAMPLES};
    char x_path[SKV_TEST_PATH], y_path[SKV_TEST_PATH], spec[2 * SKV_TEST_PATH + 8];
    skive_tensor x = skv_test_random(ctx, SKIVE_F32, 4, dims, 11, -1, 1), y, out;
    skive_graph *g = NULL;
    skive_zoo_options zoo = skive_zoo_options_default();
    skive_train_options o = skive_train_options_default();
    skv_test_ok(ctx, skive_tensor_create(ctx, SKIVE_I64, 1, one, &y));
    for (int64_t i = 0; i < SAMPLES; i++) skive_tensor_set(&y, i, (double)(i % 3));
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, file(x_path, "timer-x.npy"), &x));
    skv_test_ok(ctx, skive_tensor_save_npy(ctx, file(y_path, "timer-y.npy"), &y));
    snprintf(spec, sizeof spec, "npy:%s,%s", x_path, y_path);
    zoo.classes = 3;
    zoo.dims[0] = s->channels;
    zoo.dims[1] = zoo.dims[2] = s->size;
    o.epochs = 1;
    o.batch = 4;
    skive_dataset *train = open_data(ctx, spec, SKIVE_SPLIT_TRAIN_FULL);
    skv_test_ok(ctx, skive_zoo_build(ctx, s->spec, &zoo, &g));
    skv_test_ok(ctx, skive_train(ctx, g, train, NULL, &o, NULL, 0, NULL));
    skv_test_ok(ctx, skive_graph_run(ctx, g, &x, 1, &out, 1));
    skive_graph_free(g);
    skive_dataset_free(train);
    skive_tensor_free(ctx, &x);
    skive_tensor_free(ctx, &y);
    return out;
}

static void networks_under_a_timer(void **state) {
    static const sample_set sets[] = {
        {"mlp:800,600", 1, 16},     {"lenet5:0.5", 1, 28},   {"vgg-small:0.3", 3, 20}, {"vgg16:0.06", 3, 32},
        {"resnet20:0.5", 3, 16},    {"resnet18:0.1", 3, 40}, {"resnet50:0.1", 3, 40},  {"mobilenet:0.2", 3, 32},
        {"mobilenetv2:0.3", 3, 32}, {"lstm", 1, 12},         {"gru", 1, 12},
    };
    long all = 0;
    (void)state;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        skive_context *ctx = skv_test_context();
        skv_test_ok(ctx, skive_context_set_threads(ctx, 1));
        skive_tensor quiet = train_and_run(ctx, &sets[i]);
        start_timer(300);
        skive_tensor disturbed = train_and_run(ctx, &sets[i]);
        stop_timer();
        if (strays) fail_msg("%s: %d of %d signals did not stand on the stack", sets[i].spec, (int)strays, (int)calls);
        all += calls;
        assert_int_equal(skive_tensor_bytes(&quiet), skive_tensor_bytes(&disturbed));
        assert_memory_equal(quiet.data, disturbed.data, skive_tensor_bytes(&quiet));
        skive_tensor_free(ctx, &quiet);
        skive_tensor_free(ctx, &disturbed);
        skv_test_context_end(ctx);
    }
    assert_true(all > 100); /* the timer did run */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_under_a_timer),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
