/* The calling thread's stream, made at its first use and destroyed with the thread. For primitive.c only. */
#ifndef SKV_ONEDNN_STREAM_H
#define SKV_ONEDNN_STREAM_H

#include <oneapi/dnnl/dnnl.h>

dnnl_stream_t skv_dnnl_stream(void); /* NULL: out of memory */

#endif
