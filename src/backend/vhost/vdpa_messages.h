#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "backend/vhost/linux_vhost.h"

namespace mynah::vdpa {

// How the requests to a vDPA device's node [linux/vhost.h] travel over a stream socket: framed as
// messages of vhost-user are (vhost_user_socket.h).
//
// Request: the ioctl's number; payload: the argument, where it goes in; an eventfd travels as a
// descriptor, and where the argument has its number there is 0 (-1: none). A message written to the
// node is request kWrite with the IotlbMessage; an update brings the descriptor of the memory.
// Answer: the request again, with an Answer, which a successful ioctl's argument follows, where
// it goes out. The device's configuration goes in and out with its header.
inline constexpr uint32_t kWrite = 0;

struct IotlbMessage {
    vhost_msg_v2 message;
    uint64_t fd_offset;  // of the update's first byte
};

struct Answer {
    int32_t result;  // what the call returns: 0 or more, or -errno
    uint32_t padding;
};

// The shape of a request's argument. Nothing: not one of a vDPA device's.
struct Shape {
    size_t in = 0, out = 0;  // bytes
    // The argument's length is said in it (vhost_vdpa_config), behind the header that `in` counts.
    bool config = false;
    // Where in the argument there is the number of a descriptor.
    std::optional<size_t> descriptor = std::nullopt;
};

inline std::optional<Shape> shape_of(unsigned long request) {
    constexpr size_t kState = sizeof(vhost_vring_state), kFile = sizeof(vhost_vring_file);
    switch (request) {
        case VHOST_VDPA_GET_DEVICE_ID:
        case VHOST_VDPA_GET_CONFIG_SIZE:
        case VHOST_VDPA_GET_VQS_COUNT:
            return Shape{.out = sizeof(uint32_t)};
        case VHOST_VDPA_GET_VRING_NUM:
            return Shape{.out = sizeof(uint16_t)};
        case VHOST_VDPA_GET_STATUS:
            return Shape{.out = sizeof(uint8_t)};
        case VHOST_VDPA_SET_STATUS:
            return Shape{.in = sizeof(uint8_t)};
        case VHOST_GET_FEATURES:
        case VHOST_GET_BACKEND_FEATURES:
            return Shape{.out = sizeof(uint64_t)};
        case VHOST_SET_FEATURES:
        case VHOST_SET_BACKEND_FEATURES:
            return Shape{.in = sizeof(uint64_t)};
        case VHOST_VDPA_GET_IOVA_RANGE:
            return Shape{.out = sizeof(vhost_vdpa_iova_range)};
        case VHOST_SET_OWNER:
        case VHOST_VDPA_SUSPEND:
            return Shape{};
        case VHOST_SET_VRING_NUM:
        case VHOST_SET_VRING_BASE:
        case VHOST_VDPA_SET_VRING_ENABLE:
            return Shape{.in = kState};
        case VHOST_GET_VRING_BASE:
            return Shape{.in = kState, .out = kState};
        case VHOST_SET_VRING_ADDR:
            return Shape{.in = sizeof(vhost_vring_addr)};
        case VHOST_SET_VRING_KICK:
        case VHOST_SET_VRING_CALL:
        case VHOST_SET_VRING_ERR:
            return Shape{.in = kFile, .descriptor = offsetof(vhost_vring_file, fd)};
        case VHOST_VDPA_SET_CONFIG_CALL:
            return Shape{.in = sizeof(int), .descriptor = 0};
        case VHOST_VDPA_GET_CONFIG:
        case VHOST_VDPA_SET_CONFIG:
            return Shape{.in = sizeof(vhost_vdpa_config), .config = true};
        default:
            return std::nullopt;
    }
}

}  // namespace mynah::vdpa
