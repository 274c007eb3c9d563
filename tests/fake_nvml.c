/* A driver's management library for machines without a GPU: GPUs of 80 GiB. The file that
   FAKE_NVML_USED names holds the used memory in MiB; the one that FAKE_NVML_STATE names holds
   lines "KEY NUMBER" that are read at each call:
     devices 2            how many GPUs (1)
     hang 1               every query of a device waits without end
     xid 79               one critical error of GPU 0, each time the number changes
     0.error 15           GPU 0 answers every query with this error
     0.power.error 3      or this one query
     0.power 250000       GPU 0's answer in NVML's unit: used and pidused (MiB), utilisation,
                          memory_utilisation, power, temperature, clock, reasons, ecc, energy,
                          rows, pages, mig, mode, persistence, pid
   Built with -DOLD_DRIVER it lacks the functions that drivers of 2020 lack. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOT_SUPPORTED 3
#define INSUFFICIENT_SIZE 7
#define TIMEOUT 10
#define UNKNOWN 999

typedef unsigned long long u64;
typedef struct { u64 total, free, used; } memory_t;
typedef struct { unsigned int gpu, memory; } rates_t;
typedef struct { unsigned int pid; u64 used; unsigned int instance, compute; } process_t;
typedef struct { void *device; u64 type, data; unsigned int instance, compute; } event_t;

static u64 state(const char *key, u64 otherwise) {
    const char *path = getenv("FAKE_NVML_STATE");
    FILE *file = path ? fopen(path, "r") : NULL;
    char name[64];
    u64 value, found = otherwise;
    if (!file) return otherwise;
    while (fscanf(file, "%63s %llu", name, &value) == 2)
        if (!strcmp(name, key)) found = value;
    fclose(file);
    return found;
}

static unsigned int number(void *device) { return (unsigned int)(size_t)device - 1; }

static u64 of(void *device, const char *what, u64 otherwise) {
    char key[64];
    snprintf(key, sizeof key, "%u.%s", number(device), what);
    return state(key, otherwise);
}

static int failure(void *device, const char *what) {
    char key[64];
    u64 error = of(device, "error", 0);
    while (state("hang", 0)) usleep(10000);
    if (error) return (int)error;
    snprintf(key, sizeof key, "%s.error", what);
    return (int)of(device, key, 0);
}

static int answer(void *device, const char *what, unsigned int otherwise, unsigned int *value) {
    int error = failure(device, what);
    if (!error) *value = (unsigned int)of(device, what, otherwise);
    return error;
}

static int long_answer(void *device, const char *what, u64 otherwise, u64 *value) {
    int error = failure(device, what);
    if (!error) *value = of(device, what, otherwise);
    return error;
}

int nvmlInit_v2(void) { return 0; }
int nvmlInitWithFlags(unsigned int flags) { (void)flags; return 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int result) { return result == 15 ? "GPU is lost" : "unknown"; }
int nvmlSystemGetDriverVersion(char *text, unsigned int length) {
    snprintf(text, length, "570.124.06"); return 0;
}
int nvmlSystemGetCudaDriverVersion(int *version) { *version = 12080; return 0; }

int nvmlDeviceGetCount_v2(unsigned int *count) {
    *count = (unsigned int)state("devices", 1); return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
    *device = (void *)(size_t)(index + 1); return 0;
}
int nvmlDeviceGetIndex(void *device, unsigned int *index) { *index = number(device); return 0; }
int nvmlDeviceGetName(void *device, char *text, unsigned int length) {
    (void)device; snprintf(text, length, "NVIDIA Fake 80GB"); return 0;
}
int nvmlDeviceGetUUID(void *device, char *text, unsigned int length) {
    snprintf(text, length, "GPU-fa4e-%u", number(device)); return 0;
}
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) {
    (void)device; *major = 9; *minor = 0; return 0;
}
int nvmlDeviceGetComputeMode(void *device, unsigned int *mode) {
    return answer(device, "mode", 0, mode);
}
int nvmlDeviceGetPersistenceMode(void *device, unsigned int *mode) {
    return answer(device, "persistence", 1, mode);
}

int nvmlDeviceGetMemoryInfo(void *device, memory_t *memory) {
    const char *path = getenv("FAKE_NVML_USED");
    u64 used = 1024;
    int error = failure(device, "used");
    if (error) return error;
    if (path) {
        FILE *file = fopen(path, "r");
        if (!file || fscanf(file, "%llu", &used) != 1) return UNKNOWN;
        fclose(file);
    }
    used = of(device, "used", used);
    memory->total = 80ULL << 30; memory->used = used << 20; memory->free = memory->total - memory->used;
    return 0;
}
int nvmlDeviceGetUtilizationRates(void *device, rates_t *rates) {
    int error = failure(device, "utilisation");
    if (error) return error;
    rates->gpu = (unsigned int)of(device, "utilisation", 50);
    rates->memory = (unsigned int)of(device, "memory_utilisation", 20);
    return 0;
}
int nvmlDeviceGetPowerUsage(void *device, unsigned int *power) {
    return answer(device, "power", 250000, power);
}
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned int *degrees) {
    (void)sensor; return answer(device, "temperature", 55, degrees);
}
int nvmlDeviceGetClockInfo(void *device, int type, unsigned int *clock) {
    (void)type; return answer(device, "clock", 1755, clock);
}
int nvmlDeviceGetTotalEccErrors(void *device, int type, int counter, u64 *count) {
    (void)type; (void)counter; return long_answer(device, "ecc", 0, count);
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, u64 *reasons) {
    return long_answer(device, "reasons", 1, reasons);
}
int nvmlDeviceGetRetiredPages(void *device, int cause, unsigned int *count, u64 *pages) {
    unsigned int room = *count;
    int error = answer(device, "pages", 0, count);
    (void)cause;
    if (!error && *count > room) return INSUFFICIENT_SIZE;
    if (!error && pages) memset(pages, 0, *count * sizeof *pages);
    return error;
}

#ifndef OLD_DRIVER
int nvmlDeviceGetCurrentClocksEventReasons(void *device, u64 *reasons) {
    return long_answer(device, "reasons", 1, reasons);
}
int nvmlDeviceGetTotalEnergyConsumption(void *device, u64 *energy) {
    return long_answer(device, "energy", 0, energy);
}
int nvmlDeviceGetRemappedRows(void *device, unsigned int *correctable,
                              unsigned int *uncorrectable, unsigned int *pending,
                              unsigned int *failed) {
    *uncorrectable = *pending = *failed = 0;
    return answer(device, "rows", 0, correctable);
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned int *count, process_t *found) {
    unsigned int pid = 0, room = *count;
    int error = answer(device, "pid", 0, &pid);
    *count = pid ? 1 : 0;
    if (error || !pid) return error;
    if (room < 1) return INSUFFICIENT_SIZE;
    found->pid = pid;
    found->used = of(device, "pidused", 512) << 20;
    return 0;
}
int nvmlDeviceGetMigMode(void *device, unsigned int *now, unsigned int *next) {
    *next = 0;
    return answer(device, "mig", 0, now);
}
int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned int *count) {
    (void)device; *count = 7; return 0;
}
int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned int index, void **part) {
    if (index) return 6; /* not found */
    *part = (void *)(size_t)(number(device) + 101); /* GPU 0's instance has the keys "100.…" */
    return 0;
}
static u64 heard = 0;
int nvmlEventSetCreate(void **set) { *set = (void *)1; heard = state("xid", 0); return 0; }
int nvmlEventSetFree(void *set) { (void)set; return 0; }
int nvmlDeviceRegisterEvents(void *device, u64 types, void *set) {
    (void)device; (void)types; (void)set; return 0;
}
int nvmlEventSetWait_v2(void *set, event_t *event, unsigned int milliseconds) {
    u64 now = state("xid", 0);
    (void)set; (void)milliseconds;
    if (now == heard) return TIMEOUT;
    heard = now;
    memset(event, 0, sizeof *event);
    event->device = (void *)1;
    event->data = now;
    return 0;
}
#endif
