#include "machine/boards/hot_slots.h"

#include <gtest/gtest.h>

#include <random>

#include "machine/boards/hot_slots_fuzz.h"
#include "paravirt/virtio/virtio_block.h"
#include "testing/memory_disk.h"
#include "testing/pci_slot.h"

namespace mynah {
namespace {

namespace express = pci::express;
namespace slot = pci::express::slot;
using testing::PciSlotBoard;

constexpr unsigned kPorts = 2;

// Work waits until the test says.
class HeldExecutor final : public Executor {
  public:
    void post(std::function<void()> work) override { work_.push_back(std::move(work)); }
    void run() {
        for (auto& each : std::exchange(work_, {})) each();
    }

  private:
    std::vector<std::function<void()>> work_;
};

class HotSlotsTest : public ::testing::Test {
  protected:
    HotSlotsTest() {
        for (unsigned i = 0; i < kPorts; ++i) {
            ports_.push_back(std::make_unique<Ich9RootPort>(board_.attachment(), i));
            bus_.add_bridge({28, static_cast<uint8_t>(i)}, ports_[i]->function(),
                            ports_[i]->secondary());
            ports_[i]->function().config_write(pci::bridge::kSecondaryBus, 2, (i + 1) * 0x101);
            slots_->add(*ports_[i], card_place_);
        }
    }
    ~HotSlotsTest() override {
        work_.run();
        slots_.reset();
    }
    Result<void> plug(const std::string& id) {
        HotCard card;
        card.id = id;
        card.class_code = 0x010000;
        auto disk = std::make_shared<testing::MemoryDisk>(uint64_t{1} << 16);
        disk_ = disk;
        card.device = std::make_unique<VirtioBlock>(*disk, VirtioBlockOptions{});
        card.backend = std::move(disk);
        return slots_->plug(std::move(card));
    }
    void power(unsigned port, bool on) {
        PciFunction& function = ports_[port]->function();
        for (uint32_t at = function.config_read(0x34, 1); at != 0;
             at = function.config_read(at + 1, 1))
            if (function.config_read(at, 1) == 0x10)
                function.config_write(at + express::kSlotControl, 2, on ? 0 : slot::kPowerOff);
    }
    uint32_t card_id(unsigned port) {
        return bus_.config_read(static_cast<uint8_t>(port + 1), 0, 0, 4);
    }

    PciSlotBoard board_{1 << 16};
    testing::RecordingLine line_;
    PciAttachment card_place_{board_.ports, board_.memory_space, *board_.memory, line_, board_.msi};
    HeldExecutor work_;
    PciBus bus_;
    std::vector<std::unique_ptr<Ich9RootPort>> ports_;
    std::unique_ptr<HotSlots> slots_ = std::make_unique<HotSlots>(work_);
    std::weak_ptr<testing::MemoryDisk> disk_;  // of the last card
};

TEST_F(HotSlotsTest, ACardComesAndGoes) {
    ASSERT_TRUE(plug("disk1"));
    EXPECT_EQ(slots_->ids(), std::vector<std::string>{"disk1"});
    EXPECT_EQ(card_id(0), ~0u);
    power(0, true);
    EXPECT_EQ(card_id(0), 0x10421af4u);
    ASSERT_TRUE(slots_->request_unplug("disk1"));
    EXPECT_EQ(card_id(0), 0x10421af4u) << "the guest has not let it go";
    power(0, false);
    EXPECT_TRUE(slots_->ids().empty());
    EXPECT_FALSE(disk_.expired()) << "not within the guest's cycle";
    work_.run();
    EXPECT_TRUE(disk_.expired());
    ASSERT_TRUE(plug("disk1"));
    power(0, true);
    EXPECT_EQ(card_id(0), 0x10421af4u);
}

TEST_F(HotSlotsTest, WhatTheGuestTurnsOffByItselfStays) {
    ASSERT_TRUE(plug("disk1"));
    power(0, true);
    power(0, false);
    EXPECT_EQ(slots_->ids().size(), 1u);
    power(0, true);
    EXPECT_EQ(card_id(0), 0x10421af4u);
}

TEST_F(HotSlotsTest, ErrorsNameWhatIsWrong) {
    ASSERT_TRUE(plug("a"));
    EXPECT_EQ(plug("a").error().message(), "id 'a' is taken");
    ASSERT_TRUE(plug("b"));
    EXPECT_EQ(plug("c").error().message(), "all 2 slots are taken; detach a device first");
    EXPECT_EQ(slots_->request_unplug("c").error().message(), "no device 'c' is attached");
}

TEST_F(HotSlotsTest, AResetTakesOutWhatWasAskedToGo) {
    ASSERT_TRUE(plug("stays"));
    ASSERT_TRUE(plug("goes"));
    ASSERT_TRUE(slots_->request_unplug("goes"));
    slots_->reset();
    EXPECT_EQ(slots_->ids(), std::vector<std::string>{"stays"});
    EXPECT_TRUE(disk_.expired());
    ports_[0]->function().config_write(pci::bridge::kSecondaryBus, 2, 0x101);
    EXPECT_EQ(card_id(0), 0x10421af4u) << "with power from the start";
}

TEST(HotSlotsFuzz, SurvivesAnyGuestAndOperator) {
    std::mt19937 random(11);
    for (unsigned run = 0; run < 100; ++run) {
        std::vector<uint8_t> input(1500);
        for (uint8_t& byte : input) byte = static_cast<uint8_t>(random());
        testing::fuzz_hot_slots({input.data(), input.size()});
    }
}

}  // namespace
}  // namespace mynah
