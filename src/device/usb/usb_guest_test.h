#pragma once

// The drivers of a guest above its host controller, for tests: what an operating system does with a
// device once it can send it transfers.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "spec/usb/mass_storage.h"
#include "spec/usb/usb.h"

namespace mynah::testing {

using Bytes = std::vector<uint8_t>;

// How a transfer ended. Pending: the device answers NAK, the driver took the transfer back.
enum class GuestStatus { kOk, kStall, kError, kPending };
struct GuestReply {
    GuestStatus status = GuestStatus::kOk;
    Bytes data;  // what came in
    bool ok() const { return status == GuestStatus::kOk; }
};

// One device through its host controller's driver.
class UsbPipes {
  public:
    virtual ~UsbPipes() = default;
    virtual GuestReply control(const usb::Setup& setup, const Bytes& out = {}) = 0;
    // A bulk or interrupt transfer; endpoint: its address.
    virtual GuestReply in(uint8_t endpoint, uint32_t size) = 0;
    virtual GuestReply out(uint8_t endpoint, const Bytes& data) = 0;
    // Makes the endpoints of a configuration descriptor usable by the controller.
    virtual void open(const Bytes& configuration) = 0;
    // After a stall: makes the controller ready for the endpoint again.
    virtual void clear_halt(uint8_t endpoint) = 0;

    Bytes descriptor(uint8_t type, uint8_t index, uint16_t size) {
        return control({usb::kRequestIn, usb::kGetDescriptor,
                        static_cast<uint16_t>(type << 8 | index), 0, size})
            .data;
    }
    // What every system does after the device has its address. The configuration descriptor.
    Bytes configure() {
        const Bytes device = descriptor(usb::kDescriptorDevice, 0, 18);
        EXPECT_EQ(device.size(), 18u);
        const Bytes head = descriptor(usb::kDescriptorConfiguration, 0, 9);
        EXPECT_EQ(head.size(), 9u);
        if (head.size() != 9) return {};
        const auto total = static_cast<uint16_t>(head[2] | head[3] << 8);
        const Bytes whole = descriptor(usb::kDescriptorConfiguration, 0, total);
        EXPECT_EQ(whole.size(), total);
        open(whole);
        EXPECT_TRUE(control({0, usb::kSetConfiguration, 1, 0, 0}).ok());
        return whole;
    }
    GuestReply clear_feature_halt(uint8_t endpoint) {
        const GuestReply reply = control(
            {usb::kRecipientEndpoint, usb::kClearFeature, usb::kFeatureEndpointHalt, endpoint, 0});
        clear_halt(endpoint);
        return reply;
    }
};

// A string descriptor as text.
inline std::string usb_string(const Bytes& descriptor) {
    std::string text;
    for (size_t i = 2; i + 1 < descriptor.size(); i += 2) {
        text += static_cast<char>(descriptor[i]);
    }
    return text;
}

// The endpoints of a configuration descriptor: address, type, packet size, interval.
struct GuestEndpoint {
    uint8_t address, type;
    uint16_t packet;
    uint8_t interval;
    uint8_t burst;
};
inline std::vector<GuestEndpoint> endpoints_of(const Bytes& configuration) {
    std::vector<GuestEndpoint> found;
    for (size_t at = 0; at + 2 <= configuration.size() && configuration[at] != 0;
         at += configuration[at]) {
        if (configuration[at + 1] == usb::kDescriptorEndpoint) {
            found.push_back(
                {configuration[at + 2], configuration[at + 3],
                 static_cast<uint16_t>(configuration[at + 4] | configuration[at + 5] << 8),
                 configuration[at + 6], 0});
        }
        if (configuration[at + 1] == usb::kDescriptorEndpointCompanion) {
            found.back().burst = configuration[at + 2];
        }
    }
    return found;
}

// A driver of the bulk-only transport [BOT 1.0].
class BulkOnlyGuest {
  public:
    explicit BulkOnlyGuest(UsbPipes& pipes) : pipes_(pipes) {}

    struct Result {
        bool transported = false;  // a status came, with the right tag
        uint8_t status = 0xff;
        uint32_t residue = 0;
        Bytes data;
        bool passed() const { return transported && status == usb::storage::kStatusPassed; }
    };
    Result command_in(const Bytes& command, uint32_t size) { return run(command, true, size, {}); }
    Result command_out(const Bytes& command, const Bytes& data) {
        return run(command, false, static_cast<uint32_t>(data.size()), data);
    }

    Result read10(uint32_t block, uint16_t count, uint32_t block_size = 512) {
        return command_in(ten(0x28, block, count), count * block_size);
    }
    Result write10(uint32_t block, const Bytes& data) {
        return command_out(ten(0x2a, block, static_cast<uint16_t>(data.size() / 512)), data);
    }
    static Bytes ten(uint8_t opcode, uint32_t block, uint16_t count) {
        const auto byte = [](uint32_t value, unsigned shift) {
            return static_cast<uint8_t>(value >> shift);
        };
        return {opcode,         0, byte(block, 24), byte(block, 16), byte(block, 8),
                byte(block, 0), 0, byte(count, 8),  byte(count, 0),  0};
    }

  private:
    Result run(const Bytes& command, bool in, uint32_t size, const Bytes& out) {
        using namespace usb::storage;
        CommandWrapper wrapper{};
        wrapper.signature = kCommandSignature;
        wrapper.tag = ++tag_;
        wrapper.length = size;
        wrapper.flags = in ? kCommandDataIn : 0;
        wrapper.command_length = static_cast<uint8_t>(command.size());
        std::copy(command.begin(), command.end(), wrapper.command);
        Bytes bytes(sizeof wrapper);
        std::memcpy(bytes.data(), &wrapper, sizeof wrapper);
        Result result;
        if (!pipes_.out(0x02, bytes).ok()) return result;
        if (size > 0) {
            GuestReply reply = in ? pipes_.in(0x81, size) : pipes_.out(0x02, out);
            result.data = std::move(reply.data);
            if (reply.status == GuestStatus::kStall) pipes_.clear_feature_halt(in ? 0x81 : 0x02);
            if (reply.status == GuestStatus::kError || reply.status == GuestStatus::kPending) {
                return result;
            }
        }
        GuestReply reply = pipes_.in(0x81, sizeof(StatusWrapper));
        if (reply.status == GuestStatus::kStall) {
            pipes_.clear_feature_halt(0x81);
            reply = pipes_.in(0x81, sizeof(StatusWrapper));
        }
        if (!reply.ok() || reply.data.size() != sizeof(StatusWrapper)) return result;
        StatusWrapper status;
        std::memcpy(&status, reply.data.data(), sizeof status);
        result.transported = status.signature == kStatusSignature && status.tag == tag_;
        result.status = status.status;
        result.residue = status.residue;
        return result;
    }

    UsbPipes& pipes_;
    uint32_t tag_ = 0x1000;
};

}  // namespace mynah::testing
