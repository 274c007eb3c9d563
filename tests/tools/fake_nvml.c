/* A driver's management library for machines without a GPU: one GPU of 80 GiB whose used memory,
   in MiB, is what the file named by FAKE_NVML_USED holds. */
#include <stdio.h>
#include <stdlib.h>

typedef struct { unsigned long long total, free, used; } memory_t;

int nvmlInit_v2(void) { return 0; }
int nvmlInitWithFlags(unsigned int flags) { (void)flags; return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
    (void)index; *device = (void *)1; return 0;
}
int nvmlDeviceGetMemoryInfo(void *device, memory_t *memory) {
    unsigned long long used = 0;
    FILE *file = fopen(getenv("FAKE_NVML_USED"), "r");
    (void)device;
    if (!file || fscanf(file, "%llu", &used) != 1) return 999;
    fclose(file);
    memory->total = 80ULL << 30; memory->used = used << 20; memory->free = memory->total - memory->used;
    return 0;
}
const char *nvmlErrorString(int result) { (void)result; return "unknown"; }
