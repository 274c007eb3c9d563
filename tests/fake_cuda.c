/* A CUDA driver for machines without a GPU. Variables of the process decide how it behaves:

   FAKE_CUDA_INIT      what cuInit returns: 0, or an error such as 100 (no device); default 100
   CUDA_VISIBLE_DEVICES  empty: cuInit returns 100, as with a real driver
   FAKE_CUDA_FAILURES  a file with a number: in as many processes, each counted down in the file,
                       cuInit returns FAKE_CUDA_INIT; in later ones FAKE_CUDA_THEN (default 0)
   FAKE_CUDA_VERSION   the driver's CUDA version; default 13000
   FAKE_CUDA_DEVICES   how many devices there are after a cuInit that went well; default 1
   FAKE_CUDA_TOTAL     bytes of each device; default 80 GiB
   FAKE_CUDA_FREE      bytes of them that are free; default 79 GiB
   FAKE_CUDA_CAPABILITY  compute capability, times ten; default 80
   FAKE_CUDA_CONTEXT   what cuCtxCreate returns; default 0
   FAKE_CUDA_HANG      cuInit never returns
   FAKE_CUDA_CRASH     cuInit ends the process with SIGSEGV

   A program that uses only the driver works with it. CUDA's runtime (inside CuPy and RMM) needs
   private tables that a fake does not have: with the runtime, only failures can be simulated. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOT_INITIALIZED 3

static int last_init = NOT_INITIALIZED;
static int called = 0; /* a process keeps its first answer, as with a real driver */

static long long number(const char *name, long long otherwise) {
    const char *text = getenv(name);
    return text && *text ? atoll(text) : otherwise;
}

static int failures_left(void) {
    const char *path = getenv("FAKE_CUDA_FAILURES");
    FILE *file = path ? fopen(path, "r+") : NULL;
    int left = 0;
    if (!file) return path ? 0 : 1;
    if (fscanf(file, "%d", &left) != 1) left = 0;
    if (left > 0) {
        rewind(file);
        fprintf(file, "%d ", left - 1);
    }
    fclose(file);
    return left > 0;
}

int cuInit(unsigned int flags) {
    (void)flags;
    while (getenv("FAKE_CUDA_HANG")) sleep(1);
    if (getenv("FAKE_CUDA_CRASH")) raise(SIGSEGV);
    if (called++) return last_init;
    if (getenv("CUDA_VISIBLE_DEVICES") && !*getenv("CUDA_VISIBLE_DEVICES")) return last_init = 100;
    last_init = failures_left() ? (int)number("FAKE_CUDA_INIT", 100)
                                : (int)number("FAKE_CUDA_THEN", 0);
    return last_init;
}
int cuDriverGetVersion(int *version) {
    *version = (int)number("FAKE_CUDA_VERSION", 13000);
    return 0;
}
int cuGetErrorName(int error, const char **name) {
    (void)error; *name = "CUDA_ERROR_OF_THE_FAKE"; return 0;
}
int cuGetErrorString(int error, const char **text) {
    (void)error; *text = "the fake driver fails as it should"; return 0;
}
int cuDeviceGetCount(int *count) {
    *count = last_init ? 0 : (int)number("FAKE_CUDA_DEVICES", 1);
    return last_init;
}
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return last_init; }
int cuDeviceGetName(char *name, int length, int device) {
    (void)device; snprintf(name, (size_t)length, "Fake A100"); return last_init;
}
int cuDeviceGetUuid_v2(unsigned char *uuid, int device) {
    memset(uuid, 0x11, 16); uuid[15] = (unsigned char)device; return last_init;
}
int cuDeviceGetUuid(unsigned char *uuid, int device) { return cuDeviceGetUuid_v2(uuid, device); }
int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    (void)device; *bytes = (size_t)number("FAKE_CUDA_TOTAL", 80LL << 30); return last_init;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    int capability = (int)number("FAKE_CUDA_CAPABILITY", 80);
    (void)device;
    *value = attribute == 75 ? capability / 10 : attribute == 76 ? capability % 10 : 0;
    return last_init;
}
int cuCtxCreate_v2(void **context, unsigned int flags, int device) {
    (void)flags; (void)device; *context = (void *)1; return (int)number("FAKE_CUDA_CONTEXT", 0);
}
int cuDevicePrimaryCtxRetain(void **context, int device) {
    return cuCtxCreate_v2(context, 0, device);
}
int cuDevicePrimaryCtxRelease_v2(int device) { (void)device; return 0; }
int cuCtxSetCurrent(void *context) { (void)context; return 0; }
int cuCtxDestroy_v2(void *context) { (void)context; return 0; }
int cuMemGetInfo_v2(size_t *free_, size_t *total) {
    *free_ = (size_t)number("FAKE_CUDA_FREE", 79LL << 30);
    *total = (size_t)number("FAKE_CUDA_TOTAL", 80LL << 30);
    return last_init;
}

static int other(void) { return NOT_INITIALIZED; }

int cuGetExportTable(const void **table, const void *id) { (void)id; *table = NULL; return other(); }

int cuGetProcAddress_v2(const char *, void **, int, unsigned long long, void *);
int cuGetProcAddress(const char *name, void **function, int version, unsigned long long flags) {
    return cuGetProcAddress_v2(name, function, version, flags, NULL);
}
int cuGetProcAddress_v2(const char *name, void **function, int version, unsigned long long flags,
                        void *status) {
    static const struct { const char *name; void *function; } known[] = {
        {"cuInit", cuInit},
        {"cuDriverGetVersion", cuDriverGetVersion},
        {"cuGetErrorName", cuGetErrorName},
        {"cuGetErrorString", cuGetErrorString},
        {"cuDeviceGetCount", cuDeviceGetCount},
        {"cuGetExportTable", cuGetExportTable},
        {"cuGetProcAddress", cuGetProcAddress_v2},
    };
    size_t i;
    (void)version; (void)flags;
    if (status) *(int *)status = 0;
    *function = (void *)other;
    for (i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i].name)) *function = known[i].function;
    return 0;
}
