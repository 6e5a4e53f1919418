/* Stands in for libnvidia-ml.so.1 on machines without one: the functions that the agent calls,
 * with NVML's signatures and struct layouts, and switches for the test. */
#include <pthread.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef int nvmlReturn_t;
typedef struct nvmlDevice_st* nvmlDevice_t;
typedef struct {
  unsigned int gpu;
  unsigned int memory;
} nvmlUtilization_t;
typedef struct {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
} nvmlMemory_t;

enum {
  NVML_SUCCESS = 0,
  NVML_ERROR_UNINITIALIZED = 1,
  NVML_ERROR_NOT_SUPPORTED = 3,
  NVML_ERROR_DRIVER_NOT_LOADED = 9,
  NVML_ERROR_GPU_IS_LOST = 15
};

struct nvmlDevice_st {
  const char* name;
  unsigned int load;
  unsigned long long total, used;
};

static struct nvmlDevice_st devices[2] = {
    {"NVIDIA RTX A2000", 12, 6000000000ull, 1500000000ull},
    {"NVIDIA GeForce RTX 4090", 87, 24000000000ull, 18000000000ull},
};
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int users, starts, failing, hanging, not_supported, lost;

/* Switches and counters; the test finds them with dlsym. */
EXPORT void fake_nvml_set(int fail, int hang, int unsupported) {
  pthread_mutex_lock(&mutex);
  failing = fail;
  hanging = hang;
  not_supported = unsupported;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
}
EXPORT void fake_nvml_lose_second(int now) {
  pthread_mutex_lock(&mutex);
  lost = now;
  pthread_mutex_unlock(&mutex);
}
EXPORT int fake_nvml_starts(void) {
  pthread_mutex_lock(&mutex);
  const int now = starts;
  pthread_mutex_unlock(&mutex);
  return now;
}
EXPORT int fake_nvml_users(void) {
  pthread_mutex_lock(&mutex);
  const int now = users;
  pthread_mutex_unlock(&mutex);
  return now;
}

EXPORT nvmlReturn_t nvmlInit_v2(void) {
  pthread_mutex_lock(&mutex);
  const nvmlReturn_t rc = failing ? NVML_ERROR_DRIVER_NOT_LOADED : NVML_SUCCESS;
  if (rc == NVML_SUCCESS) {
    ++users;
    ++starts;
  }
  pthread_mutex_unlock(&mutex);
  return rc;
}

EXPORT nvmlReturn_t nvmlShutdown(void) {
  pthread_mutex_lock(&mutex);
  --users;
  pthread_mutex_unlock(&mutex);
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int* count) {
  pthread_mutex_lock(&mutex);
  const nvmlReturn_t rc = failing     ? NVML_ERROR_DRIVER_NOT_LOADED
                          : users > 0 ? NVML_SUCCESS
                                      : NVML_ERROR_UNINITIALIZED;
  pthread_mutex_unlock(&mutex);
  *count = 2;
  return rc;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t* device) {
  pthread_mutex_lock(&mutex);
  const int gone = lost && index == 1;
  pthread_mutex_unlock(&mutex);
  *device = &devices[index];
  return gone ? NVML_ERROR_GPU_IS_LOST : NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char* name, unsigned int length) {
  strncpy(name, device->name, length);
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t* out) {
  pthread_mutex_lock(&mutex);
  while (hanging) pthread_cond_wait(&changed, &mutex);
  const int unsupported = not_supported;
  pthread_mutex_unlock(&mutex);
  if (unsupported) return NVML_ERROR_NOT_SUPPORTED;
  out->gpu = device->load;
  out->memory = 1;
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t* out) {
  out->total = device->total;
  out->used = device->used;
  out->free = device->total - device->used;
  return NVML_SUCCESS;
}
