#include <iostream>

#include <skive/skive.h>

int main() {
    skive_context *ctx = nullptr;
    if (skive_context_create(nullptr, &ctx) != SKIVE_OK) return 1;
    std::cout << "skive " << skive_version() << ", " << skive_zoo_count() << " built-in networks\n";
    skive_context_free(ctx);
    return 0;
}
