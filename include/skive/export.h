/* Makes a symbol visible outside the shared library. */
#ifndef SKIVE_EXPORT_H
#define SKIVE_EXPORT_H

#if defined(__GNUC__)
#define SKIVE_API __attribute__((visibility("default")))
#else
#define SKIVE_API
#endif

#endif
