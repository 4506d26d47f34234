// Runs a model once, with C++ owning what C hands out.
//
//     c++ -std=c++17 run.cpp -o run $(pkg-config --cflags --libs skive)
//     ./run model.onnx
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

#include <skive/skive.h>

namespace {

template <typename T, void (*release)(T *)> struct releaser {
    void operator()(T *p) const { release(p); }
};
using context = std::unique_ptr<skive_context, releaser<skive_context, skive_context_free>>;
using graph = std::unique_ptr<skive_graph, releaser<skive_graph, skive_graph_free>>;
using plan = std::unique_ptr<skive_plan, releaser<skive_plan, skive_plan_free>>;
using exec = std::unique_ptr<skive_exec, releaser<skive_exec, skive_exec_free>>;

// Calls a function whose last argument takes the result, and throws its message when it fails.
template <typename Owner, typename Function, typename... Arguments>
Owner make(skive_context *ctx, Function function, Arguments... arguments) {
    typename Owner::pointer out = nullptr;
    if (function(ctx, arguments..., &out) != SKIVE_OK) throw std::runtime_error(skive_context_message(ctx));
    return Owner(out);
}

void check(skive_context *ctx, skive_status status) {
    if (status != SKIVE_OK) throw std::runtime_error(skive_context_message(ctx));
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: run MODEL\n");
        return 2;
    }
    try {
        skive_context *raw = nullptr;
        if (skive_context_create(nullptr, &raw) != SKIVE_OK) throw std::bad_alloc();
        const context ctx(raw);
        const graph model = make<graph>(ctx.get(), skive_model_load, static_cast<const char *>(argv[1]));
        const plan ready = make<plan>(ctx.get(), skive_plan_create, static_cast<const skive_graph *>(model.get()),
                                      static_cast<const skive_plan_options *>(nullptr));
        const exec run = make<exec>(ctx.get(), skive_exec_create, static_cast<const skive_plan *>(ready.get()));

        skive_tensor in, out;
        check(ctx.get(), skive_exec_input(run.get(), 0, &in));
        if (in.dtype == SKIVE_F32) {
            for (int64_t i = 0; i < skive_tensor_count(&in); i++) static_cast<float *>(in.data)[i] = 0.5F;
        }
        check(ctx.get(), skive_exec_run(run.get()));
        check(ctx.get(), skive_exec_output(run.get(), 0, &out));
        std::printf("%s: %lld values", skive_plan_output_name(ready.get(), 0),
                    static_cast<long long>(skive_tensor_count(&out)));
        if (out.dtype == SKIVE_F32) std::printf(", the first %.6g", static_cast<double>(*static_cast<float *>(out.data)));
        std::printf("\n");
    } catch (const std::exception &e) {
        std::fprintf(stderr, "run: %s\n", e.what());
        return 1;
    }
    return 0;
}
