#include "control/doctor/device_signs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mynah {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr uint32_t kAcknowledge = 1, kDriver = 2, kDriverOk = 4, kFeaturesOk = 8, kNeedsReset = 64,
                   kFailed = 128;
constexpr uint64_t kVersion1 = uint64_t{1} << 32, kMac = 1 << 5, kMq = 1 << 22;

class DriverSigns : public ::testing::Test {
  protected:
    DriverSigns() {
        record_.has_run = true;
        values().device_id = 1;
        values().offered = kVersion1 | kMac;
        values().needed = kVersion1;
    }
    VirtioHistory::Values& values() {
        if (record_.virtio.empty()) record_.virtio.push_back({"slot 1", {}});
        return record_.virtio.front().values;
    }
    // The only diagnosis; empty: there is none.
    Diagnosis only(MachineMoment moment = {}) {
        const auto found = signs_of_drivers(record_, moment);
        EXPECT_LE(found.size(), 1u);
        return found.empty() ? Diagnosis{} : found.front();
    }
    RunRecord::Contents record_;
};

TEST_F(DriverSigns, NeverTouched) {
    const Diagnosis found = only();
    EXPECT_EQ(found.cause, "driver-not-loaded");
    EXPECT_THAT(found.text, HasSubstr("virtio-net 0 (slot 1): virtio-net driver not loaded"));
    EXPECT_THAT(found.text, HasSubstr("never left 0"));
    EXPECT_THAT(found.text, HasSubstr("modprobe virtio_net"));
    EXPECT_THAT(found.evidence, HasSubstr("device status 0x0"));
}

TEST_F(DriverSigns, SeenByTheBusOnly) {
    values().status = kAcknowledge;
    EXPECT_THAT(only().text, HasSubstr("bus has seen it, and no driver took it"));
    values().before = kAcknowledge | kDriver | kDriverOk;
    EXPECT_THAT(only().text, HasSubstr("gave it back"));
}

TEST_F(DriverSigns, WhatIsWell) {
    values().status = kAcknowledge | kDriver | kFeaturesOk | kDriverOk;
    EXPECT_EQ(only().cause, "");
    values().status = 0;
    EXPECT_EQ(only({.running = true, .seconds = 1}).cause, "") << "it has only just started";
    EXPECT_EQ(only({.running = true, .seconds = 60}).cause, "driver-not-loaded");
    record_.has_run = false;
    EXPECT_EQ(only().cause, "") << "it never ran";
    record_.has_run = true;
    values().device_id = 4;
    EXPECT_EQ(only().cause, "") << "random numbers are no necessity";
}

TEST_F(DriverSigns, WhoRefusedFeatures) {
    values().status = kAcknowledge | kDriver;
    values().refusals = 1;
    values().chosen = kMac;
    EXPECT_EQ(only().cause, "driver-refused");
    EXPECT_THAT(only().text, HasSubstr("driver did not take VERSION_1"));
    EXPECT_THAT(only().evidence, HasSubstr("chose: MAC"));
    values().chosen = kVersion1 | kMq;
    EXPECT_THAT(only().text, HasSubstr("asks for MQ, which the device did not offer"));
    values().withheld = kMq;
    EXPECT_THAT(only().text, HasSubstr("asks for MQ, which the back end behind the device lacks"));
    values().status |= kFailed;
    EXPECT_EQ(only().cause, "driver-refused");
    EXPECT_THAT(only().text, HasSubstr("gave up (FAILED): the driver asks for MQ"));
}

TEST_F(DriverSigns, DriversThatGaveUp) {
    values().status = kAcknowledge | kDriver | kFailed;
    EXPECT_EQ(only().cause, "driver-failed");
    EXPECT_THAT(only().text, HasSubstr("does not offer what this driver needs"));
    values().withheld = kMq;
    EXPECT_THAT(only().text, HasSubstr("the back end lacks MQ"));
    values().status |= kFeaturesOk;
    values().chosen = kVersion1;
    EXPECT_THAT(only().text, HasSubstr("after the features were agreed on"));
}

TEST_F(DriverSigns, StuckAndBroken) {
    values().status = kAcknowledge | kDriver;
    EXPECT_EQ(only().cause, "driver-stuck");
    EXPECT_THAT(only().text, HasSubstr("not agreed on features"));
    values().status |= kFeaturesOk;
    EXPECT_THAT(only().text, HasSubstr("did not start the device"));
    values().status |= kDriverOk | kNeedsReset;
    values().bad_queue = 2;
    EXPECT_EQ(only().cause, "device-stopped");
    EXPECT_THAT(only().text, HasSubstr("laid out queue 1"));
}

TEST_F(DriverSigns, EveryDeviceByItself) {
    record_.virtio.push_back({"slot 2", {.device_id = 1}});
    record_.virtio.push_back({"slot 3", {.device_id = 2}});
    record_.virtio.push_back({"slot\x1b[2J 4\n", {.device_id = 99}});
    const auto found = signs_of_drivers(record_, {});
    ASSERT_EQ(found.size(), 4u);
    EXPECT_THAT(found[1].text, HasSubstr("virtio-net 1 (slot 2)"));
    EXPECT_THAT(found[2].text, HasSubstr("virtio-blk 0 (slot 3)"));
    EXPECT_THAT(found[3].text, HasSubstr("virtio device of type 99 0 (slot 4)"));
    EXPECT_THAT(found[3].text, Not(HasSubstr("modprobe")));
}

class NetworkSigns : public ::testing::Test {
  protected:
    NetworkSigns() {
        record_.has_run = true;
        record_.networks.push_back({"network 0 (tap=tap7)", {}});
        counts().link = NetworkCounts::kUp;
        counts().sent = 1;
    }
    NetworkCounts::Values& counts() { return record_.networks.front().values; }
    Diagnosis only(MachineMoment moment = {}) {
        const auto found = signs_of_networks(record_, moment);
        return found.empty() ? Diagnosis{} : found.front();
    }
    RunRecord::Contents record_;
};

TEST_F(NetworkSigns, NoLink) {
    counts().link = NetworkCounts::kDown;
    counts().link_losses = 3;
    EXPECT_EQ(only().cause, "no-link");
    EXPECT_THAT(only().text, HasSubstr("network 0 (tap=tap7)"));
    EXPECT_THAT(only().text, HasSubstr("sudo ip link set tap7 up"));
    EXPECT_THAT(only().evidence, HasSubstr("lost 3 times"));
    EXPECT_EQ(only({.running = true, .seconds = 0}).cause, "no-link") << "at once";
    record_.networks.front().place = "network 0 (stream listening at /s)";
    EXPECT_THAT(only().text, HasSubstr("start the machine on the other side"));
}

TEST_F(NetworkSigns, NoAddress) {
    counts().discovers = 4;
    EXPECT_EQ(only().cause, "no-dhcp");
    EXPECT_THAT(only().text, HasSubstr("nobody answered"));
    EXPECT_THAT(only().evidence, HasSubstr("4 DISCOVER"));
    EXPECT_EQ(only({.running = true, .seconds = 1}).cause, "") << "an answer takes a moment";
    counts().offers = 1;
    EXPECT_THAT(only().text, HasSubstr("did not take it"));
    counts().requests = 1;
    EXPECT_THAT(only().text, HasSubstr("did not confirm"));
    counts().naks = 1;
    EXPECT_THAT(only().text, HasSubstr("NAK"));
    counts().acks = 1;
    EXPECT_EQ(only().cause, "");
}

TEST_F(NetworkSigns, NobodyThereAndNobodySpeaks) {
    counts().arp_questions = 5;
    EXPECT_EQ(only().cause, "no-answer");
    counts().received = 1;
    EXPECT_EQ(only().cause, "");
    counts() = {};
    EXPECT_EQ(only().cause, "network-unused");
    EXPECT_EQ(only({.running = true, .seconds = 10}).cause, "") << "it may still be booting";
    EXPECT_EQ(only({.running = true, .seconds = 60}).cause, "network-unused");
}

}  // namespace
}  // namespace mynah
