#include "base/number_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mynah {
namespace {

using ::testing::ElementsAre;

TEST(NumberListTest, ListsAreRead) {
    EXPECT_THAT(*parse_number_list("2", '+', 10), ElementsAre(2));
    EXPECT_THAT(*parse_number_list("4+0-1+1", '+', 10), ElementsAre(0, 1, 4));
    EXPECT_THAT(*parse_number_list("0-1,3", ',', 10), ElementsAre(0, 1, 3));
    for (const char* bad : {"", "+", "1+", "3-1", "-1", "1-", "a", "0x1", "1-2-3", "10", " 1"})
        EXPECT_FALSE(parse_number_list(bad, '+', 10)) << bad;
    std::string_view wrong;
    EXPECT_FALSE(parse_number_list("1+5-2", '+', 10, &wrong));
    EXPECT_EQ(wrong, "5-2");
}

TEST(NumberListTest, ListsAreWritten) {
    EXPECT_EQ(format_number_list({0, 1, 2, 5, 7, 8}), "0-2,5,7-8");
    EXPECT_EQ(format_number_list({}), "");
}

}  // namespace
}  // namespace mynah
