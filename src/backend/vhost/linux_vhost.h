#pragma once

// The kernel's interface to vhost and vDPA devices [linux/vhost.h]. What it includes has a function
// that is no C++, but for who says that it is not wanted.
#ifndef VIRTIO_RING_NO_LEGACY
#define VIRTIO_RING_NO_LEGACY
#endif
#include <linux/vhost.h>
